// What both consoles share: the bar, the connection and its end, the clipboard's panel.

const RETRY_MS = [500, 1000, 2000, 3000, 5000];
const RETRY_FOR_MS = 3 * 60 * 1000;

// By close code, as in domain/console.py. "again": the page tries by itself; "button": a person may.
const ENDS = {
  4000: { title: "The machine is off", words: "Its console closed. This page connects again as soon as the machine runs.", again: true },
  4001: { title: "Connected elsewhere", words: "This console was opened again in another tab of this browser.", button: true },
  4002: { title: "Time is up", words: "A console stays open for four hours. Ask for a new link: get_console_link." },
  4003: { title: "This session is over", words: "It was ended, its time is up, or the machine was deleted. Ask for a new link: get_console_link." },
  4004: { title: "The machine writes faster than this page can show", words: "The machine goes on. Connect again to see the latest.", button: true },
  4005: { title: "Refused", words: "This console does not take that: it is for looking only, or the browser sent what is not known.", button: true },
  4006: { title: "The machine’s host does not answer", words: "Trying again.", again: true },
  4007: { title: "Too many viewers", words: "Close another console of this machine, then connect again.", button: true },
};
const LOST = { title: "The connection was lost", words: "The machine goes on. Trying again.", again: true };
const GIVEN_UP = "It did not work for three minutes. See how the machine is (get_vm), then connect again or ask for a new link (get_console_link).";

export const at = (id) => document.getElementById(id);
export const viewOnly = document.body.dataset.mode === "view";

function say(state, words, kind) {
  document.body.dataset.state = state;
  at("state").textContent = words;
  at("state").className = `pill ${kind}`;
  for (const id of ["ctrl-alt-del", "type", "offer"]) at(id)?.toggleAttribute("disabled", state !== "connected");
}

function notice(end) {
  at("notice").hidden = !end;
  if (!end) return;
  at("notice-title").textContent = end.title;
  at("notice-words").textContent = end.words;
  at("reconnect").hidden = !(end.button || end.again);
}

// Keeps a connection: `connect(socket)` is called for each new one, and `connected()` is to be called
// when the machine answers on it.
export class Line {
  constructor(connect) {
    this.connect = connect;
    this.tries = 0;
    this.since = null;
    this.timer = null;
    this.socket = null;
    at("reconnect").addEventListener("click", () => this.restart());
  }

  open() {
    clearTimeout(this.timer);
    const address = new URL(`${location.pathname.replace(/\/$/, "")}/ws`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.addEventListener("close", (event) => {
      if (this.socket === socket) this.ended(event.code);
    });
    if (document.body.dataset.state !== "waiting") say("connecting", "connecting", "");
    this.connect(socket);
  }

  restart() {
    this.since = null;
    this.tries = 0;
    this.open();
  }

  connected() {
    this.since = null;
    this.tries = 0;
    say("connected", "connected", "good");
    notice(null);
  }

  close(code) {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.ended(code);
  }

  ended(code) {
    const end = ENDS[code] ?? LOST;
    this.since ??= Date.now();
    if (!end.again) {
      say("ended", "not connected", "bad");
      notice(end);
    } else if (Date.now() - this.since > RETRY_FOR_MS) {
      say("ended", "not connected", "bad");
      notice({ title: end.title, words: GIVEN_UP, button: true });
    } else {
      say("waiting", code === 4000 ? "machine is off" : "trying again", "bad");
      notice(end);
      this.timer = setTimeout(() => this.open(), RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)]);
    }
  }
}

export function fullscreen(focus) {
  const button = at("fullscreen");
  button.hidden = !document.fullscreenEnabled;
  button.addEventListener("click", async () => {
    if (document.fullscreenElement) {
      await document.exitFullscreen();
    } else {
      await document.documentElement.requestFullscreen();
      // With it the machine gets Escape and Alt-Tab too; not every browser can.
      await navigator.keyboard?.lock?.().catch(() => {});
    }
    focus();
  });
  document.addEventListener("fullscreenchange", () => {
    button.textContent = document.fullscreenElement ? "Leave full screen" : "Full screen";
  });
}

export function clipboard(opened) {
  const button = at("clipboard-open");
  button.hidden = !at("paste") && !at("copied"); // who may only look at a screen has nothing to put into the panel
  button.addEventListener("click", () => {
    const panel = at("clipboard");
    panel.hidden = !panel.hidden;
    button.setAttribute("aria-expanded", String(!panel.hidden));
    if (!panel.hidden) {
      opened();
      (at("paste") ?? at("copied")).focus();
    }
  });
  at("copy")?.addEventListener("click", async () => {
    at("copied").select();
    try {
      await navigator.clipboard.writeText(at("copied").value);
      at("copy").textContent = "Copied";
    } catch {
      // Without HTTPS a page may not write to the clipboard: the text is selected instead.
      at("copy").textContent = "Press Ctrl-C";
    }
    setTimeout(() => { at("copy").textContent = "Copy"; }, 2000);
  });
}
