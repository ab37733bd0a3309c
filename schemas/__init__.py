"""The contracts, as data: nothing but JSON. Read by `soundstage.contract`."""
