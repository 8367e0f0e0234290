"""From the kernels' C sources to a shared library, once, whether at installation or on first use.

`levels` are sets of instructions, `sources` what is compiled, `compilers` run and watched, `places` where a library may
lie, `keeping` what lies there; `building` puts it together, `installing` does so for an installation, `providing` for a
process. Needs the standard library alone, so that a build of the package can use it; who loads libraries is
`striate.ops.native`.
"""
