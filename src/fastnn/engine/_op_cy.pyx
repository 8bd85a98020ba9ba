"""An op as a C struct, and the state that the ops of a step share: see `_op_cy.pxd`.

The module has the numbers of roles and sections, which tests compare with the tables.
"""
