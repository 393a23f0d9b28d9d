// The console of a machine's screen.

import RFB from "/static/vendor/novnc-1.7.0/core/rfb.js";
import { Line, at, clipboard, fullscreen, viewOnly } from "./frame.js";
import { type } from "./keys.js";

let rfb = null;

const line = new Line((socket) => {
  at("machine").replaceChildren();
  const screen = new RFB(at("machine"), socket, { shared: true });
  rfb = screen;
  screen.viewOnly = viewOnly;
  screen.scaleViewport = true;
  screen.background = "transparent";
  screen.addEventListener("connect", () => {
    line.connected();
    screen.focus();
  });
});

fullscreen(() => rfb?.focus());
clipboard(() => {});

if (!viewOnly) {
  at("ctrl-alt-del").addEventListener("click", () => {
    rfb?.sendCtrlAltDel();
    rfb?.focus();
  });
  at("type").addEventListener("click", async () => {
    const button = at("type");
    button.disabled = true;
    const missing = await type(rfb, at("paste").value);
    button.disabled = false;
    button.textContent = missing.length ? `Left out: ${missing.slice(0, 8).join(" ")}` : "Typed";
    setTimeout(() => { button.textContent = "Type it"; }, 3000);
    rfb?.focus();
  });
}

line.open();
