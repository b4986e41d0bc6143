/// How many insertions, deletions, replacements and swaps of neighbours turn one text into the other.
///
/// The optimal string alignment distance: O(n m) time. Source: Damerau 1964; Wagner and Fischer 1974.
package func editDistance(_ a: String, _ b: String) -> Int {
  let a = Array(a.utf8)
  let b = Array(b.utf8)
  var beforeLast: [Int] = []
  var last = Array(0...b.count)
  for i in 1..<(a.count + 1) {
    var row = [i]
    for j in 1..<(b.count + 1) {
      var best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
      if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { best = min(best, beforeLast[j - 2] + 1) }
      row.append(best)
    }
    beforeLast = last
    last = row
  }
  return last[b.count]
}

/// The valid name that a mistyped one most likely meant, or nil when none is near.
///
/// Near is: at most two edits, or a third of the longer name, but never a whole name replaced.
package func nearestName(to name: String, in valid: [String]) -> String? {
  let lowercased = name.lowercased()
  var best: (name: String, distance: Int)?
  for candidate in valid {
    let distance = editDistance(lowercased, candidate.lowercased())
    let longer = max(name.utf8.count, candidate.utf8.count)
    let shorter = min(name.utf8.count, candidate.utf8.count)
    guard distance <= max(2, longer / 3), distance < shorter, distance < best?.distance ?? Int.max else {
      continue
    }
    best = (candidate, distance)
  }
  return best?.name
}

/// `a, b or c`.
package func alternatives(_ names: [String]) -> String {
  guard names.count > 1, let last = names.last else { return names.first ?? "" }
  return names.dropLast().joined(separator: ", ") + " or " + last
}
