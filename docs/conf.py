"""How the documentation becomes a site: `make docs`, then docs/_build/html/index.html.

The site works from disk and without a network: its search index is a script beside its pages, and
nothing on a page is fetched from elsewhere.
"""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "Soundstage"
author = "The Soundstage authors"
copyright = author
version = release = version_of("soundstage")

extensions = ["myst_parser", "sphinx_copybutton", "made_parts"]
exclude_patterns = ["_build", "extensions"]
nitpicky = True
# Sessions at a shell hold JSON, and quotes that go on over lines.
suppress_warnings = ["misc.highlighting_failure"]

# Headings can be linked to as on GitHub; two pages may have headings of the same name.
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
# Quotes and dashes stay as they are written: `--budget` is no dash.
smartquotes = False

# What is copied from a block is what can be pasted: no prompt, none of the output.
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"
copybutton_line_continuation_character = "\\"

highlight_language = "none"
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

html_theme = "furo"
html_title = "Soundstage"
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
html_copy_source = False
html_show_sphinx = False
# Summaries would be read out of other pages, which a browser forbids where they come from disk.
html_show_search_summary = False
html_theme_options = {"navigation_with_keys": True}
