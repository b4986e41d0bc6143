/// What a row's `mlp` says about experts: `moe swiglu, 8 experts, top-2`, `128 routed experts, 8 active, 1 shared`.
struct ExpertText {
  let count: Int?
  let active: Int?
  let shared: Int?
  /// Whether the text speaks of experts at all.
  let speaks: Bool

  init(_ text: String) {
    let text = text.lowercased()
    speaks = text.contains("moe") || text.contains("expert")
    count =
      text.firstMatch(of: /(\d+)\s*(?:routed\s+|local\s+)?experts?\b/).flatMap { Int($0.1) }
      ?? text.firstMatch(of: /moe[\s-]*(\d+)/).flatMap { Int($0.1) }
    active =
      text.firstMatch(of: /top[\s-]?(\d+)/).flatMap { Int($0.1) }
      ?? text.firstMatch(of: /(\d+)\s*active/).flatMap { Int($0.1) }
    shared = text.firstMatch(of: /(\d+)\s*shared/).flatMap { Int($0.1) }
  }
}
