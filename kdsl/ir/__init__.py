"""The intermediate representation: values, ops, regions; knows no op and no target."""
