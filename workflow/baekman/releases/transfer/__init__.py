"""The tier ``transfer``: a package that one recipient can decrypt (Crypt4GH)."""
