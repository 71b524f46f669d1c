"""Open a local page on which the articles can be tried, without training and without the internet.

    python -m play                 # then open http://127.0.0.1:7860
    KEXUE_LANG=zh python -m play   # in Chinese

The page needs gradio: .venv/bin/pip install -e ".[play]". It uses the networks of pretrained/. It listens on this
machine alone, sends nothing anywhere, and writes into a temporary folder that it deletes at the end.
"""

import logging
import os
import tempfile

from common.cli import Parser, main
from common.flag_types import IntRange, nonempty


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument(
        "--host", type=nonempty, default="127.0.0.1",
        help="address to listen on (default 127.0.0.1, this machine alone; 0.0.0.0 lets everybody in the network in)",
    )  # fmt: skip
    p.add_argument("--port", type=IntRange(1, 65_535), default=7860, help="port (default 7860)")
    return p


def run(args):
    from common.errors import UserError
    from common.reproduce.page import page_language
    from common.streams import stage

    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # else it warns that one page has networks of many shapes
    language = page_language()
    with tempfile.TemporaryDirectory(prefix="kexue-play-") as folder:
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        try:
            with stage("starting the page"):
                import gradio  # noqa: F401 - after the environment that it reads
        except ImportError:
            raise UserError('the page needs gradio: .venv/bin/pip install -e ".[play]"') from None
        from play.page import build, serve

        serve(build(language), args.host, args.port)


if __name__ == "__main__":
    main(run, make_parser())
