extension HTMLReport {
  /// The page's look. The colours stand once, as variables; the charts' script reads them too.
  static let style = """
    :root {
      --page: #f5f6f8; --card: #ffffff; --edge: #e3e6ec; --ink: #18212f; --soft: #66717f;
      --s0: #3568d4; --s1: #e2763a; --s2: #2c9c78; --s3: #8b5bd1; --s4: #d0a12a; --s5: #d1506a;
      --s6: #7b8794;
      --bad: #b3263e; --bad-page: #fdeef0;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --page: #0e131a; --card: #171e27; --edge: #2a333f; --ink: #e6ebf2; --soft: #93a0b0;
        --s0: #6d9bf5; --s1: #f0955f; --s2: #4fc39c; --s3: #ae88ee; --s4: #e5c05a; --s5: #ee7d93;
        --s6: #8e9aa8;
        --bad: #ff8fa1; --bad-page: #33171d;
      }
    }
    * { box-sizing: border-box; }
    body {
      margin: 0; background: var(--page); color: var(--ink);
      font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
    }
    main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 40px; display: grid; gap: 16px; }
    main > * { min-width: 0; }
    h1 { font-size: 28px; line-height: 1.2; margin: 0; letter-spacing: -0.01em; overflow-wrap: anywhere; }
    h2 { font-size: 15px; font-weight: 600; margin: 0 0 12px; }
    h2 small { font-weight: 400; color: var(--soft); margin-left: 6px; }
    .subtitle { margin: 6px 0 0; color: var(--soft); }
    .status { margin: 10px 0 0; font-size: 13px; color: var(--soft); }
    .status b {
      display: inline-block; padding: 2px 10px; margin-right: 8px; border-radius: 99px;
      border: 1px solid var(--edge); background: var(--card); color: var(--ink); font-weight: 600;
    }
    .note { margin: 0; padding: 10px 14px; border-left: 3px solid var(--s0); background: var(--card);
      border-radius: 4px; font-size: 14px; }
    .note.bad { border-color: var(--bad); background: var(--bad-page); color: var(--bad); }
    .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(195px, 1fr)); gap: 12px; }
    .tile, .card { background: var(--card); border: 1px solid var(--edge); border-radius: 10px; }
    .tile { padding: 14px 16px; }
    .tile h3 { margin: 0; font-size: 12.5px; font-weight: 500; color: var(--soft); }
    .tile p { margin: 2px 0 0; font-size: 25px; line-height: 1.25; font-weight: 650;
      font-variant-numeric: tabular-nums; letter-spacing: -0.01em; }
    .tile small { color: var(--soft); font-size: 12px; }
    .card { padding: 16px 18px; min-width: 0; }
    .grid { display: grid;
      grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 16px; }
    .grid:empty { display: none; }
    button { float: right; font: inherit; font-size: 12px; padding: 1px 10px; border-radius: 99px;
      cursor: pointer; border: 1px solid var(--edge); background: var(--page); color: var(--soft); }
    button[aria-pressed=true] { background: var(--s0); border-color: var(--s0); color: var(--card); }
    .chart { position: relative; height: 230px; }
    .chart.tall { height: 360px; }
    .stack { display: flex; align-items: center; gap: 10px; margin-bottom: 8px; font-size: 13px; }
    .stack span { width: 70px; color: var(--soft); }
    .stack div { flex: 1; display: flex; height: 22px; border-radius: 5px; overflow: hidden;
      background: var(--page); }
    .stack i { display: block; height: 100%; }
    .s0 { background: var(--s0); } .s1 { background: var(--s1); } .s2 { background: var(--s2); }
    .s3 { background: var(--s3); } .s4 { background: var(--s4); } .s5 { background: var(--s5); }
    .s6 { background: var(--s6); }
    table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
    th { text-align: left; font-weight: 400; color: var(--soft); padding: 4px 16px 4px 0;
      vertical-align: top; }
    td { padding: 4px 0; overflow-wrap: anywhere; }
    tr + tr > * { border-top: 1px solid var(--edge); }
    .roles { margin-top: 14px; max-width: 520px; font-variant-numeric: tabular-nums; }
    .roles td { text-align: right; padding-left: 16px; }
    .roles th { color: var(--ink); }
    .roles tr:first-child td { color: var(--soft); }
    .roles tr:last-child > * { font-weight: 600; }
    .roles i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 8px; }
    pre { margin: 0; font: 12.5px/1.5 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace;
      overflow-x: auto; white-space: pre; }
    blockquote { margin: 0 0 12px; padding: 10px 14px; border-left: 3px solid var(--s2);
      background: var(--page); border-radius: 4px; white-space: pre-wrap; overflow-wrap: anywhere; }
    blockquote:last-child { margin-bottom: 0; }
    summary { cursor: pointer; font-weight: 600; }
    details[open] summary { margin-bottom: 12px; }
    footer { color: var(--soft); font-size: 12.5px; }
    @media (max-width: 560px) {
      main { padding: 18px 12px 28px; gap: 12px; }
      h1 { font-size: 23px; }
      .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px; }
      .tile { padding: 10px 12px; } .tile p { font-size: 21px; }
      .card { padding: 14px 12px; }
      .chart.tall { height: 270px; }
      .stack span { width: 68px; }
    }
    @media print { .card { break-inside: avoid; } }

    """
}
