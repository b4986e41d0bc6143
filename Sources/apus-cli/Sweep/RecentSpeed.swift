/// How much slower than its description the machine was in the last runs of a sweep.
///
/// Before each run the machine's speed is measured for some seconds, within which a machine that others share may change
/// it by a tenth. What holds for the run is therefore taken from several of those measurements, the run's own the last.
package struct RecentSpeed {
  private static let most = 9
  private var measured: [String: [Double]] = [:]

  package init() {}

  /// Takes in a measurement and gives the median of the recent ones. The description itself counts as two of them: one
  /// bad moment decides nothing.
  ///
  /// - Parameter sharing: ranks x threads; each has curves of its own, and so a deviation of its own.
  package mutating func add(_ slowness: Double, sharing: String) -> Double {
    let recent = Array(((measured[sharing] ?? [1, 1]) + [slowness]).suffix(Self.most))
    measured[sharing] = recent
    return recent.sorted()[recent.count / 2]
  }
}
