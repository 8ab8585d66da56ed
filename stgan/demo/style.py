"""How the page looks: its theme and style sheet."""

import gradio as gr

THEME = gr.themes.Soft(primary_hue="indigo", font=["system-ui", "sans-serif"], font_mono=["monospace"]).set(
    body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_300",
    block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300",
    block_label_text_color="*neutral_700", block_label_text_color_dark="*neutral_200",
    block_title_text_color="*neutral_700", block_title_text_color_dark="*neutral_200",
    button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700",
    button_primary_background_fill_dark="*primary_600", button_primary_text_color="white",
    button_secondary_text_color_dark="white", button_secondary_background_fill_dark="*neutral_700",
    button_secondary_background_fill_hover_dark="*neutral_600", button_secondary_text_color_hover_dark="white",
    checkbox_label_background_fill_selected="*primary_600", checkbox_label_background_fill_selected_dark="*primary_600",
    checkbox_background_color_selected="*primary_700", checkbox_background_color_selected_dark="*primary_700",
    slider_color="*primary_600", slider_color_dark="*primary_400",
    color_accent="*primary_600", link_text_color="*primary_600", link_text_color_dark="*primary_300",
    link_text_color_hover_dark="*primary_200", link_text_color_visited="*primary_700",
    link_text_color_visited_dark="*primary_300", link_text_color_active_dark="*primary_200",
    checkbox_border_color="*neutral_500", checkbox_border_color_dark="*neutral_400",
    input_border_color="*neutral_400", input_border_color_dark="*neutral_500", input_border_width="1px",
    button_border_width="1px", button_border_width_dark="1px",
    button_secondary_border_color="*neutral_400", button_secondary_border_color_dark="*neutral_500",
)  # fmt: skip

CSS = """
.gradio-container { width: 100%; max-width: 1480px !important; margin: auto; }
.gradio-container { overflow: clip !important; }  /* Gradio hides it, which would keep the picture from sticking */
.gradio-container > .main { max-width: 100% !important; padding: 0 clamp(12px, 2vw, 20px) 12px !important; }
.gradio-container main.contain { padding: 0 !important; }
.gradio-container main.contain > .column { gap: 10px; }
footer a, footer button { min-height: 24px; color: var(--body-text-color-subdued) !important; }
#title h1 { margin: 10px 0 0; font-size: 28px; } #intro p { margin: 0; font-size: 16px; }
.dark .gradio-container { --color-accent: var(--primary-300); }
p[style*="nowrap"] { white-space: normal !important; }
.dark .prose a, .dark a.download-link { color: var(--primary-300); }
.beta-tag { background: var(--primary-700) !important; }
.prose pre code { white-space: pre-wrap; overflow-wrap: anywhere; }
.prose pre .token { color: inherit; background: none; }
#photos button[aria-label="common.upload"] { display: none; }  /* a button in a button, which has no name */
#photos button, .icon-button { min-width: 24px; min-height: 24px; }
:focus-visible { outline: 3px solid var(--primary-500) !important; outline-offset: 2px; }
.label-wrap { min-height: 24px; }
.source-selection button { min-width: 24px; min-height: 24px; color: var(--body-text-color-subdued); }
.hint p { margin: 0; font-size: 13px; color: var(--body-text-color-subdued); }

/* The picture on the left stays in view of every control on the right. */
#editor {
    display: grid; grid-template-columns: minmax(0, 7fr) minmax(0, 6fr); gap: 24px; align-items: start;
}
#left { position: sticky; top: 8px; gap: 8px; } #say { gap: 8px; } #see, #keep { gap: 6px; }
#left, #say, #see, #keep { min-width: 0 !important; }
#result { --tall: calc(100vh - 376px); min-height: 240px; }
#result .prose { max-width: none; } #result .html-container { padding: 0; }
#result figure {
    position: relative; width: min(100%, calc(var(--tall) * var(--ratio))); aspect-ratio: var(--ratio);
    margin: 0 auto; background: #8883 0 0 / 100% 100%; border-radius: 14px; overflow: hidden;
}
#result img { position: absolute; inset: 0; width: 100%; height: 100%; max-width: none; margin: 0; }
#result img { object-fit: contain; }
#result img.before { clip-path: inset(0 calc(100% - var(--at, 50%)) 0 0); }
#result input {
    position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize;
    touch-action: pan-y;
}
#result i {
    position: absolute; inset: 0 auto 0 var(--at, 50%); width: 3px; margin-left: -1.5px; background: white;
    pointer-events: none; box-shadow: 0 0 3px #000a;
}
#result i::after {
    content: "\\2039\\2009\\203a"; position: absolute; top: 50%; left: 50%; width: 36px; height: 36px;
    translate: -50% -50%; border-radius: 50%; background: white; color: #222; text-align: center;
    font: bold 20px/32px system-ui, sans-serif; box-shadow: 0 1px 4px #0008;
}
#result input:focus-visible ~ i::after { outline: 4px solid var(--primary-500); outline-offset: 2px; }
#result .pending { opacity: 1; }  /* the picture stays, and a line on it says how long the visitor waits */
#result .wrap.minimal { overflow: visible; background: none; z-index: 2; }
#result .progress-text {
    top: 10px; left: 50%; right: auto; transform: translateX(-50%); padding: 5px 12px; border-radius: 16px;
    font: bold 13px system-ui, sans-serif; white-space: nowrap; background: #000c; color: white;
}
#result .full {
    position: absolute; right: 8px; top: 8px; width: 32px; height: 32px; padding: 7px; border: none; margin: 0;
    border-radius: 8px; background: #000c; color: white !important; cursor: pointer; box-shadow: none;
}
#result .full svg { width: 18px; height: 18px; display: block; stroke: white; }
#result figure:fullscreen { border-radius: 0; aspect-ratio: auto; background: black; }

.tiles .prose { max-width: none; } .tiles .html-container { padding: 0; }
.tiles ul {
    display: grid; grid-template-columns: repeat(auto-fill, minmax(92px, 1fr)); gap: 8px; margin: 0; padding: 3px;
}
.tiles li { list-style: none; margin: 0; padding: 0; }
.tiles button {
    width: 100%; height: 100%; display: flex; flex-direction: column; padding: 0; margin: 0; border-radius: 10px;
    overflow: hidden; cursor: pointer; background: var(--block-background-fill); color: var(--body-text-color);
    border: 2px solid var(--border-color-primary); box-shadow: none; font-weight: normal;
}
.tiles button:hover { border-color: var(--primary-400); background: var(--block-background-fill); }
.tiles button[aria-pressed="true"] { border-color: var(--primary-500); box-shadow: 0 0 0 1px var(--primary-500); }
.tiles img { width: 100%; aspect-ratio: 1; object-fit: cover; margin: 0; border-radius: 0; }
.tiles span { width: 100%; padding: 3px 4px 4px; font-size: 12px; line-height: 1.25; text-align: center; }
.strip ul { display: flex; overflow-x: auto; padding-bottom: 6px; } .strip li { flex: 0 0 88px; }
#looks li { flex: 1 1 76px; min-width: 76px; max-width: 110px; } #looks span { padding: 3px 0 4px; }
#versions li { flex-basis: 108px; } #versions img { aspect-ratio: 4 / 3; } #versions span { min-height: 37px; }
#strengths ul { grid-template-columns: repeat(auto-fill, minmax(74px, 1fr)); }
#seen table { margin: 0; } #seen td { border: 1px solid var(--border-color-primary); padding: 4px 10px; }
#gestures button { height: 100%; }
#kinds { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 8px; }

#sliders .form { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0 16px; padding: 4px 10px; }
#sliders, #sliders .styler, #sliders .form { background: var(--block-background-fill); border: none; }
#sliders .block { padding: 5px 0 !important; min-width: 0 !important; overflow: visible !important; }
#sliders .head { margin-bottom: 2px; align-items: center; flex-wrap: nowrap; }
#sliders .head span { margin: 0; padding: 0; font-size: 13px; background: none; font-weight: 600; }
#sliders .tab-like-container { margin: 0 0 0 auto; }
#sliders input[type=number] { width: 52px; height: 26px; padding: 2px; font-size: 13px; text-align: center; }
#sliders .reset-button { min-width: 26px; height: 26px; padding: 0; }
#sliders input[type=range]::-webkit-slider-runnable-track {
    background: linear-gradient(
        to right, var(--border-color-primary) min(50%, var(--range_progress)),
        var(--slider-color) min(50%, var(--range_progress)), var(--slider-color) max(50%, var(--range_progress)),
        var(--border-color-primary) max(50%, var(--range_progress))
    ) !important;
}
#sliders input[type=range]::-webkit-slider-thumb { border: 1px solid var(--neutral-500); }
#sliders .min_value, #sliders .max_value { display: none; }
#photo .upload-container .wrap { padding: 0; font-size: 16px; font-weight: 600; line-height: 1.2; }
#photo { border: 2px dashed var(--primary-500) !important; } #photo .icon-button-wrapper { display: none; }
#take { align-items: center; flex-wrap: nowrap; } #take > * { min-width: 0 !important; }
#take > .block { flex: none !important; width: auto; }
#take .wrap { flex-wrap: nowrap; } #take button { min-height: 44px; }
#shared img, #shared video { max-width: 100%; max-height: 380px; border-radius: 10px; margin: 0 auto; display: block; }

@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
@media (max-width: 800px) {  /* one column, and the picture stays in sight of the controls that change it */
  #editor { display: flex; flex-direction: column; flex-wrap: nowrap; align-items: stretch; gap: 10px; }
  #left { display: contents; }
  #see { position: sticky; top: 0; z-index: 100; padding: 4px 0; background: var(--body-background-fill); }
  #result { --tall: 38vh; min-height: 0; }
  #keep { display: contents; }  /* the download follows the picture, the versions come last */
  #take { order: 1; gap: 8px; }
  #take > button { flex: 1 1 0 !important; padding: 4px 8px; font-size: 15px; line-height: 1.2; white-space: normal; }
  #take label { padding: 8px; } #intro p { font-size: 15px; }
  #say { order: 2; } #keep .hint { order: 3; } #versions { order: 4; }
  #looks li { flex: 0 0 84px; }
  #sliders .form { grid-template-columns: minmax(0, 1fr); }
}
"""
