extension RunChartPage {
  /// Draws the scatter, the table of best configurations and the comparison with Chart.js 3 or later, and again when
  /// a filter or the reader's device changes.
  static let script = #"""
    "use strict";
    (() => {
      const data = JSON.parse(document.getElementById("data").textContent);
      const look = getComputedStyle(document.documentElement);
      const color = (name) => look.getPropertyValue("--" + name).trim();
      const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
      const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
      const element = (tag, text) => {
        const made = document.createElement(tag);
        if (text !== undefined) made.textContent = text;
        return made;
      };
      const get = (id) => document.getElementById(id);
      let drawn = [];

      const chosen = (group) => new Set(
        [...document.querySelectorAll(`input[data-group=${group}]:checked`)].map((box) => box.value));
      const visible = () => {
        const [models, nodes, origins, outcomes] = ["model", "nodes", "origin", "outcome"].map(chosen);
        return data.runs.filter((run) => models.has(run.model) && nodes.has(String(run.nodes))
          && origins.has(run.origin) && outcomes.has(run.outcome));
      };

      // The published colour scale, for the table.
      const mix = (share) => {
        const upper = Math.max(1, data.scale.findIndex(([at]) => share <= at));
        const [[a, ...from], [b, ...to]] = [data.scale[upper - 1], data.scale[upper]];
        return `rgb(${from.map((c, i) => Math.round(c + (share - a) / (b - a) * (to[i] - c))).join()})`;
      };

      const showTip = ({ chart, tooltip }) => {
        const tip = get("tip");
        const point = tooltip.opacity && tooltip.dataPoints && tooltip.dataPoints[0];
        if (!point) { tip.hidden = true; return; }
        const run = point.raw.run;
        tip.replaceChildren(element("h4", `${run.model}, ${run.devices} devices, ${run.origin}`));
        const line = run.outcome === "finished"
          ? `${whole.format(run.tokens)} tokens/s, ${whole.format(run.perDevice)} a device, `
            + `${run.utilization.toFixed(2)} % of peak${run.memory == null ? "" : `, ${run.memory.toFixed(2)} GiB`}`
            + ` · ${run.labels}`
          : `no result${run.reason ? ": " + run.reason : ""}`;
        tip.append(element("p", line));
        const list = element("dl");
        data.records[run.record].forEach((value, index) => {
          if (value === "") return;
          list.append(element("dt", data.columns[index]), element("dd", value));
        });
        tip.append(list);
        tip.hidden = false;
        // Panels lie side by side; the fields show on the side with more room.
        const [frame, canvas] = [get("panels"), chart.canvas].map((box) => box.getBoundingClientRect());
        const [x, y] = [canvas.left - frame.left + tooltip.caretX, canvas.top - frame.top + tooltip.caretY];
        const right = x > frame.width / 2;
        tip.style.left = right ? "auto" : `${x + 16}px`;
        tip.style.right = right ? `${frame.width - x + 16}px` : "auto";
        tip.style.top = `${Math.max(4, Math.min(y - 20, Math.max(y - 20, frame.height) - tip.offsetHeight - 4))}px`;
      };

      const axis = (text, more) => ({
        grid: { color: color("edge"), borderColor: color("edge") },
        title: { display: true, text, color: color("soft") },
        ...more,
        ticks: { color: color("soft"), maxRotation: 0, autoSkipPadding: 14, ...more.ticks },
      });

      const words = (id) => get(id).selectedOptions[0].textContent;
      // A few models have a panel each, so that none hides behind another.
      const drawPanels = (runs) => {
        const models = data.models.filter((model) => runs.some((run) => run.model === model));
        const groups = models.length > 1 && models.length <= 6
          ? models.map((model) => [model, runs.filter((run) => run.model === model)]) : [["", runs]];
        const counts = { finished: 0, failed: 0 };
        get("panels").className = groups.length > 1 ? "several" : "";
        get("panels").replaceChildren(...groups.map(([title, members]) => {
          const [panel, box, canvas] = ["div", "div", "canvas"].map((tag) => element(tag));
          if (title) panel.append(element("h3", title));
          box.className = "chart scatter";
          box.append(canvas);
          panel.append(box);
          // Chart.js measures what is in the document.
          requestAnimationFrame(() => {
            if (canvas.isConnected) drawRuns(canvas, members);
          });
          return panel;
        }));
        for (const run of runs) counts[run.outcome]++;
        const byDevices = get("across").value === "devices";
        get("shown").textContent = `${whole.format(counts.finished)} of ${whole.format(data.runs.length)} runs shown`
          + (counts.failed ? `, and ${whole.format(counts.failed)} without result`
            + (byDevices ? ", in the band below zero" : " (they need devices across)") : "") + ".";
      };

      const drawRuns = (canvas, runs) => {
        const [across, up] = [get("across").value, get("up").value];
        const finished = runs.filter((run) => run.outcome === "finished" && run[across] != null && run[up] != null);
        const failed = runs.filter((run) => run.outcome === "failed");
        const most = finished.reduce((most, run) => Math.max(most, run[up]), 0) || 1;
        // Devices double from column to column; points stand beside each other within one.
        const byDevices = across === "devices";
        const x = (run) => byDevices ? run.devices * 2 ** (0.55 * run.spread) : run[across];
        // Runs without a result have a band of their own below zero.
        const band = 0.1 * most;
        const bandY = (run, index) => -band * (0.55 + 0.6 * (((index * 0.569840291) % 1) - 0.5));
        const counts = data.runs.map((run) => run.devices);
        const [fewest, largest] = [Math.min(...counts), Math.max(...counts)];
        const placed = failed.filter((run) => byDevices);
        const set = (label, list, style, y, size) => ({
          label, data: list.map((run, index) => ({ x: x(run), y: y(run, index), run })),
          pointStyle: style, radius: size ? list.map(size) : 3.5, hoverRadius: 10,
          backgroundColor: list.map((run) => run.color),
          borderColor: style === "circle" ? "#18212f" : style === "rectRot" ? "#ffffff" : "rgb(180,180,180)",
          borderWidth: style === "circle" ? 0.8 : style === "rectRot" ? 0.5 : 1.2,
        });
        const part = (list, origin) => list.filter((run) => run.origin === origin)
          .sort((a, b) => a.size - b.size);
        drawn.push(new Chart(canvas, {
          type: "scatter",
          data: {
            datasets: [
              set("measured", part(finished, "measured"), "circle", (run) => run[up], (run) => run.size / 2),
              set("simulated", part(finished, "simulated"), "rectRot", (run) => run[up], (run) => run.size / 2),
              set("measured, no result", part(placed, "measured"), "crossRot", bandY),
              set("simulated, does not fit", part(placed, "simulated"), "cross", bandY),
            ],
          },
          options: {
            animation: false, responsive: true, maintainAspectRatio: false, normalized: true,
            interaction: { mode: "nearest", intersect: true },
            scales: {
              x: axis(words("across"), byDevices
                ? { type: "logarithmic", min: fewest / 1.6, max: largest * 1.6, afterBuildTicks: (scale) => {
                    const low = Math.ceil(Math.log2(scale.min)), high = Math.floor(Math.log2(scale.max));
                    scale.ticks = [];
                    for (let power = low; power <= high; power++) scale.ticks.push({ value: 2 ** power });
                  }, ticks: { callback: (at) => whole.format(at), autoSkip: false } }
                : { type: "linear", ticks: { callback: (at) => short.format(at) } }),
              y: axis(words("up"), {
                min: placed.length ? -1.15 * band : 0,
                ticks: { callback: (at) => at < 0 ? "" : short.format(at) },
              }),
            },
            plugins: { legend: { display: false }, tooltip: { enabled: false, external: showTip } },
          },
        }));
      };

      const drawBest = (runs) => {
        const finished = runs.filter((run) => run.outcome === "finished");
        const table = element("table");
        table.className = "heat";
        const models = data.models.filter((model) => finished.some((run) => run.model === model));
        const head = table.insertRow();
        head.append(element("th", ""), ...models.map((model) => element("th", model)));
        const nodes = [...new Set(runs.map((run) => run.nodes))].sort((a, b) => a - b);
        const highest = Math.max(...finished.map((run) => run.utilization), 0) || 1;
        const origins = [...new Set(finished.map((run) => run.origin))].sort();
        for (const count of nodes) for (const origin of origins) {
          const row = table.insertRow();
          row.append(element("th",
            `${count} node${count > 1 ? "s" : ""}${origins.length > 1 ? ", " + origin : ""}`));
          for (const model of models) {
            const best = finished.filter((run) =>
              run.model === model && run.nodes === count && run.origin === origin)
              .reduce((best, run) => !best || run.tokens > best.tokens ? run : best, null);
            const cell = row.insertCell();
            if (!best) { cell.className = "none"; cell.textContent = "none"; continue; }
            cell.style.background = mix(best.utilization / highest);
            const memory = best.memory == null ? "" : `, ${best.memory.toFixed(1)} GiB`;
            cell.append(element("b", `${best.utilization.toFixed(1)} %${memory}`), element("br"),
              best.layout, element("br"), best.batch);
          }
        }
        get("best").replaceChildren(table);
      };

      const drawPairs = (runs) => {
        const canvas = get("pairs");
        if (!canvas) return;
        const records = new Map();
        for (const run of runs) {
          if (run.outcome !== "finished" || run.seconds == null) continue;
          records.set(run.record, { ...records.get(run.record), [run.origin]: run });
        }
        const pairs = [...records.values()].filter((pair) => pair.measured && pair.simulated);
        const points = pairs.map(({ measured, simulated }) =>
          ({ x: measured.seconds, y: simulated.seconds, run: measured }));
        const ends = points.flatMap(({ x, y }) => [x, y]);
        const [low, high] = [Math.min(...ends), Math.max(...ends)];
        const line = (label, factor, dash) => ({
          label, type: "line", pointRadius: 0, borderWidth: 1, borderDash: dash, borderColor: color("soft"),
          data: [{ x: low, y: low * factor }, { x: high, y: high * factor }],
        });
        const seconds = (at) => +at.toPrecision(2);
        const layouts = [...new Set(points.map(({ run }) => run.layout))];
        const sets = layouts.map((layout, index) => ({
          label: layout, data: points.filter(({ run }) => run.layout === layout), radius: 4,
          backgroundColor: data.categories[index % data.categories.length],
          borderColor: color("card"), borderWidth: 0.6,
        }));
        drawn.push(new Chart(canvas, {
          type: "scatter",
          data: {
            datasets: [
              ...sets,
              line("equal", 1, []), line("10 % more", 1.1, [4, 4]), line("10 % less", 1 / 1.1, [4, 4]),
            ],
          },
          options: {
            animation: false, responsive: true, maintainAspectRatio: false,
            scales: {
              x: axis("measured, s", { type: "logarithmic", ticks: { callback: seconds } }),
              y: axis("simulated, s", { type: "logarithmic", ticks: { callback: seconds } }),
            },
            plugins: {
              legend: { display: true, position: "right", labels: { color: color("ink"), usePointStyle: true } },
              tooltip: { filter: (item) => item.datasetIndex < sets.length, callbacks: {
                label: ({ raw }) => `${raw.run.model}, ${raw.run.layout}, ${raw.run.batch}: measured `
                  + `${raw.x.toPrecision(3)} s, simulated ${raw.y.toPrecision(3)} s (${(100 * (raw.y / raw.x - 1)).toFixed(1)} %)`,
              } },
            },
          },
        }));
      };

      const drawAll = () => {
        drawn.forEach((chart) => chart.destroy());
        drawn = [];
        get("tip").hidden = true;
        Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
        const runs = visible();
        drawPanels(runs);
        drawBest(runs);
        drawPairs(runs);
      };

      drawAll();
      document.querySelectorAll("input, select").forEach((box) => box.addEventListener("change", drawAll));
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    })();

    """#
}
