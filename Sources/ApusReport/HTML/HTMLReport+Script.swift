extension HTMLReport {
  /// Draws the charts from the page's data with Chart.js 3 or later, and again when the reader's
  /// device changes between light and dark.
  package static let script = #"""
    "use strict";
    (() => {
      const data = JSON.parse(document.getElementById("data").textContent);
      const look = getComputedStyle(document.documentElement);
      const color = (name) => look.getPropertyValue("--" + name).trim();
      const faint = (hex, opacity) => hex + Math.round(opacity * 255).toString(16).padStart(2, "0");
      const xy = (pairs) => pairs.map(([x, y]) => ({ x, y }));
      const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });
      const digits = (value) => Math.abs(value) >= 1e4 ? short.format(value)
        : value !== 0 && Math.abs(value) < 1e-3 ? (+value.toPrecision(3)).toExponential()
        : String(+value.toPrecision(5));
      const lowest = (pairs) => Math.min(...pairs.map(([, y]) => y));
      let drawn = [];
      let lossIsLogarithmic = false;

      const line = (label, pairs, name, more = {}) => ({
        label, data: xy(pairs), borderColor: color(name), backgroundColor: color(name),
        borderWidth: 1.8, pointRadius: pairs.length > 1 ? 0 : 3, pointHitRadius: 8, tension: 0, ...more,
      });
      const layer = (label, pairs, name) => line(label, pairs, name, {
        fill: "-1", backgroundColor: faint(color(name), 0.65), borderWidth: 1, stack: "all",
      });
      // Each layer fills down to the one below it, the first to zero.
      const stack = (layers) => layers.map((one, index) => index ? one : { ...one, fill: "origin" });
      const level = (label, value, pairs, name) => line(label,
        pairs.length ? [[pairs[0][0], value], [pairs[pairs.length - 1][0], value]] : [], name,
        { borderDash: [6, 5], borderWidth: 1.4 });

      const draw = (id, datasets, { y = {}, x = {}, title, ...more } = {}) => {
        const canvas = document.getElementById(id);
        if (!canvas) return;
        const axis = (more) => ({
          grid: { color: color("edge"), borderColor: color("edge") },
          ...more,
          ticks: {
            color: color("soft"), maxTicksLimit: 8, maxRotation: 0, autoSkipPadding: 16, ...more.ticks,
          },
        });
        drawn.push(new Chart(canvas, {
          type: "line",
          data: { datasets, ...more.data },
          options: {
            animation: false, responsive: true, maintainAspectRatio: false, parsing: more.parsing ?? false,
            normalized: false, interaction: { mode: more.mode ?? "nearest", axis: "x", intersect: false },
            scales: {
              x: axis({ type: "linear", ...x, ticks: { callback: (at) => short.format(at), ...x.ticks } }),
              y: axis({ ...y, ticks: { callback: digits, ...y.ticks } }),
            },
            plugins: {
              legend: {
                display: datasets.length > 1, align: "end",
                labels: { color: color("ink"), boxWidth: 14, boxHeight: 3, padding: 14 },
              },
              tooltip: {
                callbacks: {
                  title: ([first]) => !first ? "" : title ? title(first) : "step " + first.parsed.x,
                  label: (item) => item.dataset.label + ": " + digits(item.parsed.y),
                },
              },
            },
          },
        }));
      };

      const drawLoss = () => {
        const many = data.loss.length > 60;
        const references = data.references.map((reference, index) =>
          level(reference.label, reference.loss, data.loss, "s" + (4 + index % 3)));
        draw("loss", [
          ...(data.validationLoss.length ? [line("validation", data.validationLoss, "s1",
            { borderWidth: 2.2, pointRadius: data.validationLoss.length > 60 ? 0 : 2.5 })] : []),
          ...(many ? [line("training, smoothed", data.smoothedLoss, "s0", { borderWidth: 2 })] : []),
          line("training", data.loss, "s0",
            many ? { borderColor: faint(color("s0"), 0.3), borderWidth: 1 } : {}),
          ...references,
        ], lossIsLogarithmic ? {
          x: { type: "logarithmic" },
          y: {
            type: "logarithmic",
            min: +(0.95 * lowest(data.loss.concat(data.validationLoss))).toPrecision(2),
          },
        } : {});
      };

      const drawMemory = () => {
        if (!data.memory) return;
        const gib = (bytes) => bytes / 2 ** 30;
        const labels = data.memory.labels;
        const datasets = stack(data.memory.roles.map((role, index) => ({
          ...layer(role.name, [], "s" + index % 7), data: role.bytes.map(gib), stepped: "middle",
          pointRadius: 0,
        })));
        const highest = labels.reduce((most, _, at) =>
          Math.max(most, data.memory.roles.reduce((sum, role) => sum + role.bytes[at], 0)), 0);
        const capacity = data.memory.capacityBytes;
        // A limit far above the stack would press it flat; then the bars above say enough.
        if (capacity && capacity < 2 * highest) {
          datasets.push({ ...level("available", 0, [], "s5"), data: labels.map(() => gib(capacity)),
            stack: "limit", pointRadius: 0 });
        }
        draw("memoryOverStep", datasets, {
          data: { labels }, parsing: true, mode: "index", title: (at) => at.label,
          // No fixed number of ticks: as many labels as the width holds.
          x: {
            type: "category",
            ticks: { maxTicksLimit: 0, callback(at) { return this.getLabelForValue(at); } },
          },
          y: { stacked: true, beginAtZero: true },
        });
      };

      const drawAll = () => {
        drawn.forEach((chart) => chart.destroy());
        drawn = [];
        Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
        Chart.defaults.font.size = 12;
        drawLoss();
        draw("gradientNorm", [line("gradient norm", data.gradientNorm, "s3", { borderWidth: 1.2 })],
          { y: { beginAtZero: true } });
        draw("learningRate", [line("learning rate", data.learningRate, "s2")], { y: { beginAtZero: true } });
        draw("throughput", [line("tokens per second", data.tokensPerSecond, "s0", { borderWidth: 1.2 })],
          { y: { beginAtZero: true } });
        draw("stepTime", stack([
          layer("forward", data.forward, "s0"), layer("backward", data.backward, "s3"),
          layer("optimizer", data.optimizer, "s2"), layer("waiting for data", data.dataWait, "s1"),
        ]), { mode: "index", y: { stacked: true, beginAtZero: true } });
        draw("bitsPerByte", [line("bits per byte", data.bitsPerByte, "s1")]);
        draw("utilization",
          [line("percent", data.utilization.map(([x, y]) => [x, 100 * y]), "s4", { borderWidth: 1.2 })],
          { y: { beginAtZero: true } });
        drawMemory();
      };

      drawAll();
      const button = document.getElementById("logarithmic");
      if (button) button.addEventListener("click", () => {
        lossIsLogarithmic = !lossIsLogarithmic;
        button.setAttribute("aria-pressed", lossIsLogarithmic);
        drawAll();
      });
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    })();

    """#
}
