// The learning curve, whether further labelling is likely to pay, and whether the queue does.
// All of it is measured by the worker; see docs/explanation/when-to-stop.md.

const ADVICE = {
  stop: ["unlikely to pay", "good"],
  continue: ["go on", ""],
  unknown: ["cannot tell yet", ""],
};
const WORTH = {
  pays: ["it pays", "good"],
  no_gain: ["it does not pay; random order is as good", "warn"],
  unknown: ["cannot tell yet", ""],
};
const SHOWN = 5;

function answer(question, [word, kind], reasons, { el, fact, badge }) {
  return fact(question, badge(word, kind), ...reasons.map((text) => el("p", { class: "quiet small", text })));
}

function curveTable(curve, { el, number, percent }) {
  const head = ["Words learnt from", "Joint F1", "95 % interval", "Words at random, estimated"];
  const rows = curve.slice(-SHOWN).reverse().map((point) => {
    const random = point.words_at_random;
    return [
      point.version,
      number(point.words),
      percent(point.joint_f1),
      point.interval.map(percent).join(" – "),
      random ? `${number(random.estimate)} (${number(random.low)} – ${number(random.high)})` : "–",
    ];
  });
  return el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", { scope: "col", text: "Version" }),
      ...head.map((text) => el("th", { scope: "col", class: "number", text })))),
    el("tbody", {}, ...rows.map(([name, ...cells]) => el("tr", {},
      el("th", { scope: "row", text: name }),
      ...cells.map((text) => el("td", { class: "number", text }))))),
  ));
}

export function learning(found, tools) {
  const { el, quiet } = tools;
  const { curve, advice, queue } = found;
  if (!curve.length && !advice) {
    return [quiet("The curve begins with the first model that there is a hold-out to measure.")];
  }
  return [
    curve.length > 0 && curveTable(curve, tools),
    advice && el("dl", { class: "facts" },
      answer("Further labelling", ADVICE[advice.state], advice.reasons, tools),
      queue && answer("The queue", WORTH[queue.state], [queue.reason], tools)),
  ];
}
