// The steps around the ratings: the welcome, the check of the headphones, the end.

function welcome(sitting) {
  const { player } = sitting;
  const first = TEST.pages.find(({ page }) => page === sitting.kept.pages[0].page);
  let loaded = null;
  const test = button("Play a record", async () => {
    if (player.playing) return player.stop();
    loaded ??= player.load([first.record], () => {});
    if (await loaded) player.play(first.record);
  });
  sitting.show = () => (test.textContent = player.playing ? "Stop" : "Play a record");
  return make(
    "div",
    { class: "text" },
    make("p", {}, `On ${TEST.pages.length === 1 ? "one page" : `${TEST.pages.length} pages`}, you will hear a song `
      + "that was mixed in several ways, and a record whose sound the mixes are after. The record is another song. "
      + "Each mix has a letter. Who made it is not shown, and on every page the letters mean other mixes."),
    make("p", {}, `On ${TEST.scales.length} scales, say what you hear. There is no right answer. Compare as often `
      + "as you like: all mixes run together, so you can switch between them at any moment."),
    make("p", {}, "Use good headphones, in a quiet place. Set the volume now, and then leave it:"),
    test,
    make("p", {}, "No name is asked. What you do is kept in this browser at every move; you can close the page and "
      + "come back. At the end, you save your ratings as a file."),
  );
}

function checkHeadphones(sitting) {
  const { headphones } = sitting.kept;
  const check = new HeadphoneCheck(sitting.player);
  sitting.leave = () => check.silence();
  const box = make("div", { class: "text" });

  const finish = () => {
    const right = headphones.attempts.at(-1).filter(Boolean).length;
    const verdict = right === TRIALS
      ? "Your headphones give each ear its own sound."
      : "Are these headphones, on both ears, and is no mono or 3D sound switched on? You can try again, or go on.";
    box.replaceChildren(
      make("p", { tabindex: "-1" }, `${right} of ${TRIALS} found. ${verdict}`),
      button("Try again", start),
      button("Go on", () => sitting.move(1), { class: "main" }),
    );
    box.firstChild.focus();
  };

  const trial = () => {
    const attempt = headphones.attempts.at(-1);
    if (attempt.length === TRIALS) return finish();
    check.next();
    const answers = ["First", "Second", "Third"].map((text, i) => button(text, () => {
      if (!check.played) return say("Please listen to all three first.");
      attempt.push(i === check.target);
      sitting.keeper.save();
      trial();
    }, { "aria-keyshortcuts": String(i + 1) }));
    const show = (interval) => answers.forEach((one, i) => one.classList.toggle("heard", i === interval));
    const play = button("Play the three noises", () => check.play(show), { class: "main" });
    sitting.keysOf = (key) => {
      if (key === " ") check.play(show);
      else answers[Number(key) - 1]?.click();
    };
    box.replaceChildren(
      make("p", {}, `Try ${attempt.length + 1} of ${TRIALS}: in which of the three noises is there a faint tone?`),
      play,
      make("div", { class: "answers", role: "group", "aria-label": "The noise with the tone" }, ...answers),
    );
    play.focus();
    say(`Try ${attempt.length + 1} of ${TRIALS}`);
  };

  const start = () => {
    headphones.on = "headphones";
    if (headphones.attempts.at(-1)?.length !== 0) headphones.attempts.push([]);
    sitting.keeper.save();
    trial();
  };
  const begun = headphones.attempts.at(-1);
  if (begun?.length === TRIALS) queueMicrotask(finish);
  else if (begun?.length) queueMicrotask(trial);
  box.append(
    make("p", {}, "A check of a minute: three noises follow each other, and one of them hides a faint, steady tone. "
      + "It can be heard with headphones only."),
    button("I wear headphones", start, { class: "main" }),
    button("I listen on loudspeakers", () => {
      headphones.on = "loudspeakers";
      sitting.keeper.save();
      sitting.move(1);
    }),
  );
  return box;
}

function thanks(sitting) {
  const { keeper } = sitting;
  if (!sitting.kept.finished) {
    sitting.kept.finished = now();
    keeper.save();
  }
  const others = keeper.others();
  const again = button("Another listener begins", () => {
    if (keeper.putAside()) sitting.restart();
    else say("This browser keeps nothing: save the file first, then reload the page.");
  });
  return make(
    "div",
    { class: "text" },
    make("p", {}, "Thank you for listening. Save your ratings, and send the file to whoever asked you."),
    button("Save my ratings as a file", () => download(sitting.kept), { class: "main" }),
    make("p", {}, "The ratings also stay in this browser. You can go back and change them, then save them again."),
    again,
    ...(others.length ? [make("h3", {}, "Others who listened in this browser")] : []),
    ...others.map((one) => button(`Save the file of ${one.listener}`, () => download(one))),
  );
}
