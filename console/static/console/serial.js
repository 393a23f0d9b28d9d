// The console of a machine's serial port.

import { Terminal } from "/static/vendor/xterm-6.0.0/lib/xterm.mjs";
import { FitAddon } from "/static/vendor/xterm-addon-fit-0.11.0/lib/addon-fit.mjs";
import { Line, at, clipboard, fullscreen, viewOnly } from "./frame.js";

const MOST_BEHIND = 8 << 20;
const TOO_SLOW = 4004;

// The terminal makes style sheets; the page's policy takes those that carry its nonce.
const nonce = document.querySelector('meta[name="style-nonce"]').content;
const create = document.createElement.bind(document);
document.createElement = (name, options) => {
  const element = create(name, options);
  if (name === "style") element.nonce = nonce;
  return element;
};

const dark = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const colours = getComputedStyle(document.body);
  const of = (name) => colours.getPropertyValue(name).trim();
  return {
    background: of("--card"),
    foreground: of("--ink"),
    cursor: of("--accent"),
    cursorAccent: of("--card"),
    selectionBackground: dark.matches ? "#3d5a50" : "#cfe5dc",
  };
}

const terminal = new Terminal({
  convertEol: false,
  cursorBlink: !viewOnly,
  disableStdin: viewOnly,
  fontFamily: 'ui-monospace, "Cascadia Code", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  fontSize: 14,
  minimumContrastRatio: 4.5,
  scrollback: 10000,
  theme: theme(),
});
const fit = new FitAddon();
terminal.loadAddon(fit);
terminal.open(at("machine"));
fit.fit();
new ResizeObserver(() => fit.fit()).observe(at("machine"));
dark.addEventListener("change", () => { terminal.options.theme = theme(); });

const encoder = new TextEncoder();
let live = false;

const line = new Line((socket) => {
  let first = true;
  let behind = 0;
  live = false;
  socket.addEventListener("message", (event) => {
    const data = new Uint8Array(event.data);
    if (first) {
      // What was written before comes first. A question of the past (where is the cursor?) is not answered
      // now: the answer would be typed into the machine.
      first = false;
      terminal.reset();
      line.connected();
      terminal.write(data, () => { live = true; });
      terminal.focus();
      return;
    }
    behind += data.length;
    terminal.write(data, () => { behind -= data.length; });
    if (behind > MOST_BEHIND) line.close(TOO_SLOW);
  });
});

function send(data) {
  if (live && !viewOnly && line.socket?.readyState === WebSocket.OPEN) line.socket.send(data);
}

terminal.onData((text) => send(encoder.encode(text)));
terminal.onBinary((text) => send(Uint8Array.from(text, (character) => character.charCodeAt(0))));

fullscreen(() => terminal.focus());
clipboard(() => {
  const selected = terminal.getSelection();
  if (!selected) terminal.selectAll();
  at("copied").value = terminal.getSelection().trimEnd();
  if (!selected) terminal.clearSelection();
});

if (!viewOnly) {
  at("type").addEventListener("click", () => {
    send(encoder.encode(at("paste").value.replace(/\r?\n/g, "\r")));
    at("type").textContent = "Sent";
    setTimeout(() => { at("type").textContent = "Send it"; }, 2000);
    terminal.focus();
  });
}

line.open();
