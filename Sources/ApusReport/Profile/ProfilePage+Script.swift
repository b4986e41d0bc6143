extension ProfilePage {
  /// Draws both charts from the page's data with Chart.js 3 or later, and again when the reader's device changes
  /// between light and dark.
  static let script = #"""
    "use strict";
    (() => {
      const data = JSON.parse(document.getElementById("data").textContent);
      const look = getComputedStyle(document.documentElement);
      const color = (name) => look.getPropertyValue("--" + name).trim();
      const faint = (hex, opacity) => hex + Math.round(opacity * 255).toString(16).padStart(2, "0");
      const gib = (bytes) => bytes / 2 ** 30;
      const digits = (value) => String(+value.toPrecision(4));
      let drawn = [];

      const axis = (more) => ({
        grid: { color: color("edge") }, ...more,
        title: { display: true, color: color("soft"), ...more.title },
        ticks: { color: color("soft"), maxRotation: 0, autoSkipPadding: 16, ...more.ticks },
      });
      const legend = { align: "end", labels: { color: color("ink"), boxWidth: 14, boxHeight: 8, padding: 12 } };

      // Upright lines where segments begin, with their names.
      const marks = {
        id: "marks",
        beforeDatasetsDraw(chart) {
          const { ctx, chartArea: area, scales: { x } } = chart;
          ctx.save();
          ctx.font = "11px " + Chart.defaults.font.family;
          let free = -Infinity;
          data.memory.marks.forEach((mark) => {
            const at = x.getPixelForValue(data.memory.times[mark.index]);
            ctx.strokeStyle = color("soft");
            ctx.globalAlpha = 0.5;
            ctx.beginPath();
            ctx.moveTo(at, area.top);
            ctx.lineTo(at, area.bottom);
            ctx.stroke();
            ctx.globalAlpha = 1;
            ctx.fillStyle = color("soft");
            if (at >= free) {
              ctx.fillText(mark.name, at + 4, area.top + 11);
              free = at + ctx.measureText(mark.name).width + 10;
            }
          });
          ctx.restore();
        },
      };

      const drawMemory = () => {
        const memory = data.memory;
        const points = (bytes) => bytes.map((value, at) => ({ x: memory.times[at], y: gib(value), at }));
        const sums = (series) => series[0].bytes.map((_, at) =>
          series.reduce((sum, one) => sum + one.bytes[at], 0));
        const base = { pointRadius: 0, pointHitRadius: 6, stepped: "before", tension: 0 };
        const datasets = memory.predicted.map((series, index) => ({
          ...base, label: series.name, data: points(series.bytes), stack: "predicted", fill: index ? "-1" : "origin",
          borderColor: color("s" + index % 7), backgroundColor: faint(color("s" + index % 7), 0.6), borderWidth: 1,
        }));
        const line = (label, bytes, name, more) => ({
          ...base, label, data: points(bytes), stack: label, fill: false, borderColor: color(name), borderWidth: 2,
          backgroundColor: color(name), ...more,
        });
        if (memory.measured) {
          datasets.push(line("measured, in use", sums(memory.measured), "ink", { borderWidth: 1.6 }));
        }
        if (memory.touched) {
          datasets.push(line("measured, touched so far", memory.touched, "bad", { borderDash: [5, 4] }));
        }
        datasets.push(line("planned", memory.times.map(() => memory.plannedBytes), "soft", { borderDash: [2, 3] }));
        drawn.push(new Chart(document.getElementById("memory"), {
          type: "line", data: { datasets }, plugins: [marks],
          options: {
            animation: false, responsive: true, maintainAspectRatio: false, parsing: false,
            interaction: { mode: "index", intersect: false },
            scales: {
              x: axis({ type: "linear", max: memory.times[memory.times.length - 1], title: { text: "ms" } }),
              y: axis({ stacked: true, beginAtZero: true, title: { text: "GiB" } }),
            },
            plugins: {
              legend,
              tooltip: {
                callbacks: {
                  title: ([first]) => first ? memory.labels[first.raw.at] : "",
                  label: (item) => item.dataset.label + ": " + digits(item.parsed.y) + " GiB",
                },
              },
            },
          },
        }));
      };

      const drawOperations = () => {
        const shown = data.operations.slice(0, 16);
        const bar = (label, values, name) => ({
          label, data: values, backgroundColor: color(name), stack: "time", barThickness: "flex",
        });
        drawn.push(new Chart(document.getElementById("operations"), {
          type: "bar",
          data: {
            labels: shown.map((one) => one.operation + ", " + one.segment),
            datasets: [
              bar("its own bound", shown.map((one) => 1e3 * Math.min(one.boundSeconds, one.seconds)), "s2"),
              bar("beyond it", shown.map((one) => 1e3 * Math.max(0, one.seconds - one.boundSeconds)), "s1"),
            ],
          },
          options: {
            indexAxis: "y", animation: false, responsive: true, maintainAspectRatio: false,
            interaction: { mode: "index", axis: "y", intersect: false },
            scales: {
              x: axis({ stacked: true, beginAtZero: true, title: { text: "ms" } }),
              y: axis({ stacked: true, title: { display: false }, ticks: { autoSkip: false } }),
            },
            plugins: {
              legend,
              tooltip: { callbacks: { label: (item) => item.dataset.label + ": " + digits(item.parsed.x) + " ms" } },
            },
          },
        }));
      };

      const drawAll = () => {
        drawn.forEach((chart) => chart.destroy());
        drawn = [];
        Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
        Chart.defaults.font.size = 12;
        legend.labels.color = color("ink");
        drawMemory();
        drawOperations();
      };
      drawAll();
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    })();

    """#
}
