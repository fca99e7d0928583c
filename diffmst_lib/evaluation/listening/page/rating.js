// A page of the test: the record and the mixes to hear, and a slider for every mix on every scale.

const LETTERS = "ABCDEFGHIJ";

class Rating {
  // known: the page of the test; kept: the same page of the sitting; save: keeps the sitting.
  constructor(player, known, kept, save) {
    Object.assign(this, { player, known, kept, save });
    this.names = [known.record, ...kept.order];
    this.labels = new Map([[known.record, "record"], ...kept.order.map((id, i) => [id, LETTERS[i]])]);
    this.current = known.record; // what plays next
    this.ready = false;
  }

  spoken(name) {
    return name === this.known.record ? "the record" : `mix ${this.labels.get(name)}`;
  }

  element() {
    this.choosers = new Map();
    this.sliders = new Map();
    this.play = button("Play", () => this.toggle(), { class: "play", "aria-keyshortcuts": "Space" });
    this.bar = make("div", { class: "bar" });
    this.state = make("p", { class: "loading" }, "The sounds are being read …");
    const choosers = this.names.map((name) => this.chooser(name, true));
    const scales = TEST.scales.map((scale, i) => this.scale(scale, i));
    return make(
      "div",
      { class: "rating" },
      make(
        "div",
        { class: "transport", role: "group", "aria-label": "Player" },
        this.play,
        button("Beginning", () => this.begin(), { "aria-keyshortcuts": "B" }),
        make("span", { class: "choosers" }, ...choosers),
        make("div", { class: "track", "aria-hidden": "true" }, this.bar),
        this.state,
      ),
      make("div", { class: "scales" }, ...scales),
    );
  }

  chooser(name, withKey) {
    const label = this.labels.get(name);
    const key = name === this.known.record ? "R" : String((this.kept.order.indexOf(name) + 1) % 10);
    const element = button(name === this.known.record ? "Record" : label, () => this.chosen(name), {
      class: "choose", "aria-label": `Hear ${this.spoken(name)}`, "aria-pressed": "false",
      "aria-keyshortcuts": withKey ? key : null, title: `key ${key}`,
    });
    this.choosers.set(name, [...(this.choosers.get(name) ?? []), element]);
    return element;
  }

  scale(scale, number) {
    const about = `about-${number}`;
    const rows = this.kept.order.map((name) => this.row(scale, name, about));
    return make(
      "fieldset",
      {},
      make("legend", {}, capital(scale.name)),
      make("p", { id: about }, scale.question),
      make(
        "div",
        { class: "words", "aria-hidden": "true" },
        ...[scale.low, scale.middle, scale.high].map((word) => make("span", {}, word)),
      ),
      ...rows,
    );
  }

  row(scale, name, about) {
    const shown = make("output", { "aria-hidden": "true" });
    const slider = make("input", {
      type: "range", min: 0, max: 100, step: 1, "aria-describedby": about,
      "aria-label": `${capital(scale.name)}, ${this.spoken(name)}`,
    });
    const show = () => {
      const value = this.kept.ratings[name][scale.name];
      const rated = value !== undefined;
      slider.value = rated ? value : 50;
      slider.classList.toggle("unrated", !rated);
      shown.textContent = rated ? value : "–";
      const word = value < 20 ? scale.low : value > 80 ? scale.high : Math.abs(value - 50) < 10 ? scale.middle : "";
      slider.setAttribute("aria-valuetext", rated ? [`${value} of 100`, word].filter(Boolean).join(", ") : "not rated");
    };
    const rate = () => {
      this.kept.ratings[name][scale.name] = Number(slider.value);
      this.save();
      show();
    };
    slider.addEventListener("input", rate);
    // A slider that stays in the middle is a rating as well, once somebody has touched it.
    slider.addEventListener("click", rate);
    slider.addEventListener("keydown", (event) => event.key === "Enter" && rate());
    slider.addEventListener("focus", () => (this.lastScale = scale.name));
    show();
    this.sliders.set(`${scale.name}/${name}`, slider);
    return make("div", { class: "row", "data-row": name }, this.chooser(name, false), slider, shown);
  }

  async load() {
    try {
      const heard = (name, seconds) => {
        this.kept.heard_s[name] = Math.round(100 * ((this.kept.heard_s[name] ?? 0) + seconds)) / 100;
        this.save();
      };
      if (!(await this.player.load(this.names, heard))) return;
    } catch {
      this.state.className = "trouble";
      this.state.textContent =
        "This browser cannot decode the sounds. Please use a current Firefox or Chrome, or Safari 18.4 or later.";
      say(this.state.textContent);
      return;
    }
    this.ready = true;
    this.state.remove();
    const move = () => {
      if (!this.bar.isConnected) return;
      this.bar.style.inlineSize = `${100 * this.player.position()}%`;
      requestAnimationFrame(move);
    };
    move();
    if (this.waiting) this.hear(this.waiting);
  }

  toggle() {
    if (this.player.playing) this.player.stop();
    else this.hear(this.current);
  }

  begin() {
    this.player.begin();
    if (!this.player.playing) this.hear(this.current);
  }

  // A button that is pressed already stops what it plays.
  chosen(name) {
    if (this.player.playing && this.current === name) this.player.stop();
    else this.hear(name);
  }

  hear(name) {
    this.current = name;
    if (!this.ready) {
      this.waiting = name;
      this.player.open().resume(); // now: later it is no part of the click
      return;
    }
    this.kept.heard_s[name] ??= 0;
    this.player.play(name);
  }

  // By its key: the slider that follows is the mix's on the scale where the listener is.
  byNumber(index) {
    const name = this.kept.order[index];
    if (!name) return;
    this.hear(name);
    this.sliders.get(`${this.lastScale ?? TEST.scales[0].name}/${name}`).focus();
  }

  record() {
    this.hear(this.known.record);
  }

  show() {
    this.play.textContent = this.player.playing ? "Stop" : "Play";
    for (const [name, elements] of this.choosers) {
      const heard = this.player.playing && name === this.current;
      for (const element of elements) element.setAttribute("aria-pressed", String(heard));
    }
    for (const row of document.querySelectorAll("[data-row]")) {
      row.classList.toggle("heard", this.player.playing && row.dataset.row === this.current);
    }
  }

  // What is still to do, in words, and the first slider or button to do it with; null when all is done.
  missing() {
    const unheard = this.kept.order.filter((name) => this.kept.heard_s[name] === undefined);
    const unrated = TEST.scales.map((scale) => ({
      scale: scale.name,
      names: this.kept.order.filter((name) => this.kept.ratings[name][scale.name] === undefined),
    })).filter(({ names }) => names.length);
    const letters = (names) => names.map((name) => this.labels.get(name)).join(", ");
    if (!unheard.length && !unrated.length) return null;
    return {
      text: [
        ...(unheard.length ? [`not heard yet: ${letters(unheard)}`] : []),
        ...unrated.map(({ scale, names }) => `${scale} not rated: ${letters(names)}`),
      ].join("; "),
      first: unheard.length
        ? this.choosers.get(unheard[0])[0]
        : this.sliders.get(`${unrated[0].scale}/${unrated[0].names[0]}`),
    };
  }
}
