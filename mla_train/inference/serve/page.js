const form = document.querySelector("form"), answer = document.querySelector("#answer");
const fields = [...form.querySelectorAll("[data-name]")];

const element = (tag, text = "", kind = "") => Object.assign(document.createElement(tag), {textContent: text, className: kind});
const number = value => typeof value === "number" ? String(+value.toPrecision(5)) : String(value);

const base64 = file => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
  reader.onerror = () => reject(new Error("the file cannot be read"));
  reader.readAsDataURL(file);
});

function steps(text) {
  const lines = text.trim().split(/\r?\n/).filter(line => line.trim());
  return lines.map((line, place) => line.split(/[,;\t]| +/).map(cell => {
    if (!cell.trim() || cell.trim().toLowerCase() === "nan") return null;
    if (isNaN(cell)) throw new Error(`line ${place + 1}: ${cell} is not a number`);
    return Number(cell);
  }));
}

function items(text) {
  const lines = text.split("\n").map(line => line.trim()).filter(Boolean);
  return lines.map(line => {
    const [, name, seconds] = line.match(/^(.*?)(?:\|\s*(-?[\d.]+))?$/);
    return seconds === undefined ? name : [name.trim(), Number(seconds)];
  });
}

async function example() {
  const values = {};
  for (const field of fields) {
    if (field.dataset.kind === "file") {
      if (field.files.length) values[field.dataset.name] = await base64(field.files[0]);
    } else if (field.dataset.kind === "items") {
      values[field.dataset.name] = items(field.value);
    } else if (field.value.trim()) {
      values[field.dataset.name] = field.dataset.kind === "numbers" ? steps(field.value) : field.value;
    }
  }
  if (!Object.keys(values).length) throw new Error("nothing is given yet");
  return JSON.stringify(values);
}

async function post(path, body) {
  const response = await fetch(path, {method: "POST", headers: {"content-type": "application/json"}, body});
  if (response.ok) return response;
  throw new Error((await response.json()).error);
}

function bars(probabilities) {
  const grid = element("div", "", "bars");
  const ranked = Object.entries(probabilities).sort((one, other) => other[1] - one[1]).slice(0, 10);
  for (const [name, value] of ranked) {
    const bar = element("div", "", "bar"), filled = element("i"), label = element("span", name);
    filled.style.width = `${100 * value}%`;
    label.title = name;
    bar.append(filled);
    grid.append(label, bar, element("span", `${(100 * value).toFixed(1)} %`, "number"));
  }
  return grid;
}

function forecastTable(record) {
  const levels = Object.keys(record.quantiles ?? {}).sort((a, b) => a - b);
  const ends = levels.length > 1 ? [levels[0], levels.at(-1)] : [];
  const table = element("table"), head = table.createTHead().insertRow(), wide = element("div", "", "wide");
  head.append(element("th", "step"));
  const columns = [];
  for (const [name, values] of Object.entries(record.prediction)) {
    columns.push([name, values], ...ends.map(level => [`${name}, ${level} quantile`, record.quantiles[level][name]]));
  }
  columns.forEach(([name]) => head.append(element("th", name, "number")));
  const body = table.createTBody();
  columns[0][1].forEach((_, step) => {
    const row = body.insertRow();
    row.append(element("td", step + 1), ...columns.map(([, values]) => element("td", number(values[step]), "number")));
  });
  wide.append(table);
  return wide;
}

function figure(source, title) {
  const part = element("figure");
  part.append(Object.assign(element("img"), {src: source, alt: title}));
  return part;
}

async function predict(body) {
  const record = await (await post("predict", body)).json();
  if (form.dataset.answer === "forecast") {
    const picture = await (await post("forecast", body)).blob();
    answer.append(element("h2", "Forecast"), figure(URL.createObjectURL(picture), "forecast, and the steps before it"));
    answer.append(forecastTable(record));
    return;
  }
  const labels = Array.isArray(record.prediction) ? record.prediction.join(", ") || "no label" : number(record.prediction);
  const text = Object.assign(element("p", labels, "prediction"), {dir: "auto"});
  answer.append(element("h2", "Prediction"), text);
  if (record.based_on === "popularity") answer.append(element("p", "No item of the history is known: these are the most popular.", "note"));
  if (record.unknown) answer.append(element("p", `Not in the catalogue: ${record.unknown.join("; ")}`, "note"));
  if (record.probabilities) answer.append(bars(record.probabilities));
}

async function explain(body) {
  const explanation = await (await post("explain", body)).json();
  answer.append(element("h2", "Explanation"), element("p", `Prediction: ${explanation.prediction}`));
  const largest = Math.max(1e-9, ...explanation.words.map(each => Math.abs(each.effect)));
  if (explanation.words.length) {
    const words = Object.assign(element("p", "", "words"), {dir: "auto"});
    for (const {word, effect} of explanation.words) {
      const mark = element("mark", word);
      const colour = effect > 0 ? "220 60 50" : "50 110 220";
      mark.style.background = `rgb(${colour} / ${(0.75 * Math.abs(effect) / largest).toFixed(3)})`;
      mark.title = effect.toFixed(4);
      words.append(mark, " ");
    }
    answer.append(words, element("p", `Red words raise ${explanation.score}, blue ones lower it: by how much it changes `
      + "where the word is left out.", "note"));
  }
  answer.append(...explanation.figures.map(({title, png}) => figure(`data:image/png;base64,${png}`, title)));
}

async function run(action) {
  const buttons = form.querySelectorAll("button");
  buttons.forEach(button => button.disabled = true);
  answer.replaceChildren(element("p", "...", "note"));
  try {
    const body = await example();
    answer.replaceChildren();
    await action(body);
  } catch (error) {
    answer.replaceChildren(element("p", error.message, "bad"));
  }
  buttons.forEach(button => button.disabled = false);
}

form.addEventListener("submit", event => { event.preventDefault(); run(predict); });
form.querySelector("[data-do=explain]").addEventListener("click", () => run(explain));
for (const file of form.querySelectorAll("input[type=file]")) {
  const target = file.nextElementSibling;
  file.addEventListener("change", async () => {
    if (!file.files.length) return;
    if (target.tagName === "TEXTAREA") target.value = await file.files[0].text();
    else Object.assign(target, {src: URL.createObjectURL(file.files[0]), hidden: false});
  });
}
for (const choice of form.querySelectorAll("input[list]")) {  // a chosen item becomes a line of the history
  const target = choice.nextElementSibling.nextElementSibling;
  choice.addEventListener("change", () => {
    target.value += `${target.value && !target.value.endsWith("\n") ? "\n" : ""}${choice.value}\n`;
    choice.value = "";
  });
}
for (const area of form.querySelectorAll("textarea[data-kind=text]")) {
  area.addEventListener("keydown", event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

const given = new URLSearchParams(location.search);  // /?text=... is a link to an example
const filled = fields.filter(field => field.type !== "file" && given.has(field.dataset.name));
filled.forEach(field => field.value = given.get(field.dataset.name));
if (filled.length) run(predict);
