/// A processor as it was measured: how long each kind of instruction takes as a function of its work, for each way in
/// which ranks share the machine.
package struct MeasuredProcessor: Hashable, Sendable {
  package var sharings: [Sharing]

  package init(_ sharings: [Sharing]) { self.sharings = sharings }

  /// Ranks that run side by side on the machine, each with so many threads; they share the memory's bandwidth.
  package struct Sharing: Hashable, Sendable {
    package var ranks, threads: Int
    /// Bytes that stay near the cores of a rank between instructions.
    package var cacheBytes: Int
    /// Seconds of a step outside its instructions.
    package var stepSeconds: Double
    /// By kind of instruction (`InstructionWork.kind`).
    package var curves: [String: MeasuredCurve]

    package init(
      ranks: Int, threads: Int, cacheBytes: Int, stepSeconds: Double, curves: [String: MeasuredCurve]
    ) {
      self.ranks = ranks
      self.threads = threads
      self.cacheBytes = cacheBytes
      self.stepSeconds = stepSeconds
      self.curves = curves
    }

    /// Ranks x threads, as descriptions write it: `2x1`.
    package var name: String { "\(ranks)x\(threads)" }
  }

  /// What was measured for so many ranks with so many threads each; nil where that was not.
  package func sharing(ranks: Int, threads: Int) -> Sharing? {
    sharings.first { $0.ranks == ranks && $0.threads == threads }
  }
}
