"""The page: one tab per article, in one language."""

import functools
import inspect

import gradio as gr

from common.errors import UserError, one_line
from play import couplet, energy, fgan, flow, ogan, plane
from play.words import WORDS

TABS = (ogan, flow, energy, plane, fgan, couplet)
MAX_FILE = "50mb"
# a picture of 32 pixels is shown large: let it keep its pixels
CSS = (
    ".pixels img {image-rendering: pixelated} "
    ".gradio-container {max-width: 1100px !important; margin: 0 auto !important} "
    "#flow-paper {min-width: 0 !important; max-width: calc(100vw - 64px); overflow: hidden} "
    # in a narrow window too, no picture may widen the page
    "main {max-width: 100vw} .gradio-container, main, .wrap, .column, .tabs, .tabitem {min-width: 0 !important} "
    ".gradio-container img {max-width: 100%} "
    # a paper of half a telephone is too small to draw on
    "@media (max-width: 700px) {#flow-drawing {display: block}}"
)
THEME = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])  # no web fonts


def say_errors(function, language):
    """Return an event handler whose errors are a sentence on the page and never a trace.

    Args:
        function: function of the inputs, or generator.
        language: "en" or "zh".
    """

    def sentence(error):
        known = isinstance(error, UserError)
        if not known:
            print(f"play: {type(error).__name__}: {one_line(error)}", flush=True)
        text = str(error) if known else WORDS[language]["broken"].format(error=type(error).__name__)
        return gr.Error(text, duration=20, title=WORDS[language]["sorry"], print_exception=False)

    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def handler(*inputs):
            try:
                yield from function(*inputs)
            except Exception as error:
                raise sentence(error) from None

    else:

        @functools.wraps(function)
        def handler(*inputs):
            try:
                return function(*inputs)
            except Exception as error:
                raise sentence(error) from None

    return handler


def build(language):
    """Return the page as `gradio.Blocks`.

    Args:
        language: "en" or "zh".
    """
    words = WORDS[language]
    safe = functools.partial(say_errors, language=language)
    with gr.Blocks(title=words["title"], analytics_enabled=False) as page:
        gr.Markdown(f"# {words['title']}\n{words['intro']}")
        with gr.Tabs():
            for tab in TABS:
                name = tab.__name__.rpartition(".")[2]
                with gr.Tab(words[f"{name}/tab"], id=name, elem_id=f"tab-{name}") as panel:
                    gr.Markdown(words[f"{name}/intro"])
                    tab.build(words, safe, page.load if tab is TABS[0] else panel.select)
    return page


def app(page):
    """Return the page as an ASGI application. It does not ask the network for anything.

    Args:
        page: `gradio.Blocks`.
    """
    from fastapi import FastAPI

    page.queue(default_concurrency_limit=1, max_size=32)
    settings = {"theme": THEME, "css": CSS, "max_file_size": MAX_FILE, "footer_links": []}
    settings |= {"ssr_mode": False, "pwa": False, "mcp_server": False, "show_error": True}
    return gr.mount_gradio_app(FastAPI(docs_url=None, redoc_url=None, openapi_url=None), page, "/", **settings)


def serve(page, host, port):
    """Serve the page until Ctrl-C.

    `Blocks.launch` would first ask the page itself for an answer within 3 seconds, which a busy machine does not give.

    Args:
        page: `gradio.Blocks`.
        host: str, address to listen on.
        port: int.

    Raises:
        UserError: if the address is in use or not of this machine.
    """
    import socket

    import uvicorn

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # from now on a browser waits for its answer
    except OSError as error:
        listener.close()
        raise UserError(f"cannot listen on {host}:{port} ({error.strerror}): choose another --port") from None
    print(f"open http://{host}:{port} (Ctrl-C ends it)", flush=True)
    uvicorn.Server(uvicorn.Config(app(page), log_level="warning")).run(sockets=[listener])
