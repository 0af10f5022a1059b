"""`python -m botticelli`: the same as the installed command."""

from botticelli.cli.main import run

if __name__ == "__main__":
    run()
