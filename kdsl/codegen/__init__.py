"""The seam that back ends plug into, and what several of them share."""
