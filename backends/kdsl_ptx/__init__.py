"""The PTX back end: own PTX text, assembled by ptxas or the driver, launched through the driver."""
