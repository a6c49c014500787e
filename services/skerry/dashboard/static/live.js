// Follows the server's events and takes over the sections that changed. Without it the page refreshes by itself.
"use strict";
(() => {
  const text = document.getElementById("live-text");
  const pause = document.getElementById("pause");
  const showTime = () => {
    for (const one of document.querySelectorAll("time[data-ms]")) {
      const at = new Date(Number(one.dataset.ms));
      one.textContent = at.toLocaleTimeString();
      one.dateTime = at.toISOString();
    }
  };
  let paused = false;
  let asking = false;
  let again = false;
  let staleSince = null;
  let spoken = "";

  // A screen reader hears of a change of the connection, not of every tick.
  const say = (words) => {
    if (words !== spoken) text.textContent = spoken = words;
  };
  const open = (section) =>
    [...section.querySelectorAll("details")].map((one, index) => (one.open ? index : -1)).filter((index) => index >= 0);

  const focusable = (section) => [...section.querySelectorAll("a, summary, [tabindex]")];

  const takeOver = (fresh) => {
    for (const section of document.querySelectorAll("[data-live]")) {
      const newer = fresh.getElementById(section.id);
      if (!newer || newer.innerHTML === section.dataset.source) continue;
      const opened = open(section);
      const focused = focusable(section).indexOf(document.activeElement);
      section.dataset.source = newer.innerHTML;
      section.innerHTML = newer.innerHTML;
      const details = section.querySelectorAll("details");
      for (const index of opened) if (details[index]) details[index].open = true;
      if (focused >= 0) focusable(section)[focused]?.focus({ preventScroll: true });
    }
    document.title = fresh.title;
    showTime();
  };

  const refresh = async () => {
    if (paused || document.hidden) return;
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      takeOver(new DOMParser().parseFromString(await answer.text(), "text/html"));
      staleSince = null;
      document.body.classList.remove("stale");
      say("live");
    } catch {
      stale();
    }
    asking = false;
    if (again) {
      again = false;
      refresh();
    }
  };
  const stale = () => {
    staleSince = staleSince || new Date();
    document.body.classList.add("stale");
    say(`not connected: shown as of ${staleSince.toLocaleTimeString()}`);
  };

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Resume updates" : "Pause updates";
    if (paused) say("updates are paused");
    else refresh();
  });
  document.addEventListener("visibilitychange", refresh);
  text.parentElement.hidden = false;
  showTime();
  for (const section of document.querySelectorAll("[data-live]")) section.dataset.source = section.innerHTML;

  const events = new EventSource(new URL("../events", document.currentScript.src));
  events.addEventListener("open", () => say("live"));
  events.addEventListener("change", refresh);
  events.addEventListener("error", stale);
  // the server may have no stream left for this page, or a proxy may hold events back
  setInterval(() => {
    if (events.readyState !== EventSource.OPEN) refresh();
  }, 5000);
})();
