// The sitting: its steps, the keys, and what happens when the page is opened again.

const STEPS = ["welcome", "headphones", ...TEST.pages.map(({ page }) => page), "thanks"];

class Sitting {
  constructor() {
    this.stage = document.getElementById("stage");
    this.keeper = new Keeper(() => say("This browser keeps nothing: save your ratings as a file before you leave."));
    this.player = new Player(() => this.show());
    this.clear();
    document.getElementById("download").addEventListener("click", () => this.save());
    document.addEventListener("keydown", (event) => this.key(event));
    addEventListener("pagehide", () => this.player.count());
    addEventListener("storage", (event) => {
      if (event.key !== PLACE || !event.newValue) return;
      this.keeper.adopt(event.newValue);
      clearTimeout(this.opening);
      this.opening = setTimeout(() => this.open(), 500); // it may be one of many changes
    });
    this.open();
  }

  get kept() {
    return this.keeper.sitting;
  }

  clear() {
    this.show = this.leave = () => {};
    this.keysOf = this.rating = null;
  }

  restart() {
    this.open();
    this.stage.querySelector("h2").focus();
  }

  open() {
    this.leave();
    this.player.unload();
    this.clear();
    this.kept.step = Math.min(Math.max(this.kept.step, 0), STEPS.length - 1);
    const { step } = this.kept;
    const number = step - 1;
    const isRating = number >= 1 && step < STEPS.length - 1;
    const heading = isRating
      ? `Page ${number} of ${TEST.pages.length}`
      : { welcome: "Welcome", headphones: "Your headphones", thanks: "Thank you" }[STEPS[step]];
    let content;
    if (isRating) {
      const kept = this.kept.pages[number - 1];
      const known = TEST.pages.find(({ page }) => page === kept.page);
      this.rating = new Rating(this.player, known, kept, () => this.keeper.save());
      this.show = () => this.rating.show();
      content = this.rating.element();
    } else {
      content = { welcome, headphones: checkHeadphones, thanks }[STEPS[step]](this);
    }
    const back = step > 0 ? [button("Back", () => this.move(-1), { "aria-keyshortcuts": "P" })] : [];
    const next = step < STEPS.length - 1
      ? [button("Next", () => this.move(1), { class: "main", "aria-keyshortcuts": "N" })] : [];
    const trouble = make("p", { class: "trouble", role: "alert" });
    this.trouble = trouble;
    this.stage.replaceChildren(
      make("h2", { tabindex: "-1" }, heading), content, trouble,
      make("nav", { "aria-label": "Steps" }, ...back, ...next),
    );
    document.getElementById("where").textContent = `Step ${step + 1} of ${STEPS.length}`;
    document.title = `${heading}, ${TEST.title}`;
    this.rating?.load();
  }

  move(by) {
    const missing = by > 0 && this.rating ? this.rating.missing() : null;
    if (missing) {
      this.trouble.textContent = capital(`${missing.text}.`);
      missing.first.focus();
      return;
    }
    const to = this.kept.step + by;
    if (to < 0 || to >= STEPS.length) return;
    this.kept.step = to;
    this.open();
    this.keeper.save();
    scrollTo(0, 0);
    this.stage.querySelector("h2").focus();
  }

  save() {
    this.player.count();
    download(this.kept);
  }

  key(event) {
    const { key, target } = event;
    if (!document.getElementById("keys").checked || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.defaultPrevented) return;
    if (key === " " && target.closest("button, summary, [type=checkbox]")) return; // theirs
    if (event.repeat && !target.matches("[type=range]")) return;
    const digit = "1234567890".indexOf(key);
    const does = {
      n: () => this.move(1),
      p: () => this.move(-1),
      ...(this.rating && {
        " ": () => this.rating.toggle(),
        r: () => this.rating.record(),
        b: () => this.rating.begin(),
      }),
      ...(this.keysOf && { " ": () => this.keysOf(" ") }),
    }[key.toLowerCase()];
    const number = digit < 0 ? null : this.rating ? () => this.rating.byNumber(digit) : () => this.keysOf?.(key);
    const act = does ?? number;
    if (!act) return;
    event.preventDefault();
    act();
  }
}

const sitting = new Sitting();
