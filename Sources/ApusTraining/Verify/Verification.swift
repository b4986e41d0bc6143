import ApusCommunication
import ApusCore
import ApusModels
import ApusProgram
import Foundation

/// Trains small models under many layouts and compares each with one rank.
package struct Verification {
  /// The largest errors that pass. `docs/numerics.md` says why.
  package struct Tolerances: Codable, Hashable, Sendable {
    package var loss = 1e-5
    package var gradientNorm = 1e-5
    package var gradients = 1e-5
    package var weights = 1e-5
  }

  /// Relative errors against one rank: of losses and norms the largest over the steps, of tensors the norm of the
  /// difference over the norm, the largest over the tensors.
  package struct Errors: Codable, Hashable, Sendable {
    package var loss = 0.0
    package var gradientNorm = 0.0
    package var gradients = 0.0
    package var weights = 0.0
  }

  /// What came out for one layout.
  package struct Outcome: Codable, Hashable, Sendable {
    package var model: String
    package var layout: String
    package var options: String
    package var ranks: Int
    package var passed: Bool
    package var errors: Errors
    /// The tensor with the largest error of its gradient, then of its weights.
    package var worstTensors: [String]
    /// Whether a second run of the same layout gave the same bits; nil where there was none.
    package var repeated: Bool?
    /// Why there is nothing to compare, if so.
    package var failure: String?
  }

  /// The names are those of the JSON keys.
  package struct Report: Codable, Hashable, Sendable {
    package var layouts: Int
    package var passed: Int
    package var failed: Int
    package var worst: Errors
    package var tolerances: Tolerances
    /// Pairs of option values that can meet, and those that met.
    package var pairs: Int
    package var coveredPairs: Int
    package var transport: String
    package var seconds: Double
    package var cases: [Outcome]
  }

  package let plan: VerificationPlan
  private let tolerances = Tolerances()
  private let alter: @Sendable (inout StepProgram) -> Void
  /// Every so many layouts one is run twice.
  private static let repetition = 5

  /// - Parameter alter: changes each program of several ranks before it runs, to plant an error.
  package init(_ plan: VerificationPlan, alter: @escaping @Sendable (inout StepProgram) -> Void = { _ in }) {
    self.plan = plan
    self.alter = alter
  }

  /// Runs every layout with its ranks as threads of this process.
  ///
  /// - Parameter tell: told each outcome as it comes.
  package func inProcess(tell: (Outcome) -> Void = { _ in }) throws -> Report {
    func trace(_ run: VerificationRun) throws -> VerificationTrace? {
      let count = run.verified.layout.worldSize
      let traces: [VerificationTrace?] = try LocalRanks.run(count) { world in
        try run.trace(on: world.data)
      }
      return traces[0]
    }
    return try run(transport: "threads of one process", ranks: Int.max, tell: tell, trace) ?? Report.empty
  }

  /// Runs the layouts that the processes of `world` can form, with as many of them as each needs. The report is the
  /// first rank's; the others get nil.
  package func acrossProcesses(
    _ world: any World, transport: String, tell: (Outcome) -> Void = { _ in }
  ) throws -> Report? {
    func trace(_ run: VerificationRun) throws -> VerificationTrace? {
      let takesPart = world.rank < run.verified.layout.worldSize
      let group = try world.data.split(colour: takesPart ? 0 : 1, key: world.rank, name: "verified")
      let trace = takesPart ? try run.trace(on: group) : nil
      try world.control.barrier(label: "the end of a layout")
      return trace
    }
    return try run(
      transport: transport, ranks: world.size, tell: { if world.rank == 0 { tell($0) } }, trace)
  }

  private func run(
    transport: String, ranks: Int, tell: (Outcome) -> Void,
    _ trace: (VerificationRun) throws -> VerificationTrace?
  ) throws -> Report? {
    let start = DispatchTime.now().uptimeNanoseconds
    var references: [Reference: VerificationTrace] = [:]
    var outcomes: [Outcome] = []
    var isFirst = true
    for (index, verified) in plan.cases.enumerated() where verified.layout.worldSize <= ranks {
      let alteration: @Sendable (inout StepProgram) -> Void
      if verified.layout.worldSize > 1 {
        alteration = alter
      } else {
        alteration = { (_: inout StepProgram) in }
      }
      let run = VerificationRun(verified: verified, alter: alteration)
      let found = try trace(run)
      let again = index.isMultiple(of: Self.repetition) ? try trace(run) : nil
      guard let found else {
        isFirst = false
        continue
      }
      var outcome = Outcome(verified)
      let key = Reference(model: verified.model, sequences: verified.sequences)
      let expected = try references[key] ?? Self.reference(verified)
      references[key] = expected
      (outcome.errors, outcome.worstTensors) = Self.errors(found, expected)
      outcome.failure = found.inconsistency
      outcome.repeated = again.map { Self.areEqual($0, found) }
      outcome.passed =
        tolerances.allow(outcome.errors) && outcome.repeated != false && outcome.failure == nil
      outcomes.append(outcome)
      tell(outcome)
    }
    guard isFirst else { return nil }
    let passed = outcomes.count { $0.passed }
    return Report(
      layouts: outcomes.count, passed: passed, failed: outcomes.count - passed,
      worst: outcomes.reduce(Errors()) { $0.worst($1.errors) }, tolerances: tolerances, pairs: plan.pairs,
      coveredPairs: plan.coveredPairs, transport: transport,
      seconds: Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9, cases: outcomes)
  }

  // MARK: Comparing

  private struct Reference: Hashable {
    let model: ModelConfiguration
    let sequences: Int
  }

  /// The same step on one rank: all sequences in one micro-batch, nothing recomputed.
  private static func reference(_ verified: VerificationCase) throws -> VerificationTrace {
    var one = VerificationCase(verified.name, verified.model, ParallelLayout())
    one.microBatchSize = verified.sequences
    let world = LocalWorld.alone()
    guard
      let trace = try VerificationRun(verified: one, alter: { (_: inout StepProgram) in }).trace(
        on: world.data)
    else {
      return VerificationTrace()
    }
    return trace
  }

  private static func errors(
    _ found: VerificationTrace, _ expected: VerificationTrace
  ) -> (errors: Errors, worstTensors: [String]) {
    func largest(_ a: [Double], _ b: [Double]) -> Double {
      a.count == b.count ? zip(a, b).map { relative($0 - $1, $1) }.reduce(0, propagatingMaximum) : .infinity
    }
    let gradients = largestError(found.gradients, expected.gradients)
    let first = largestError(found.firstWeights, expected.firstWeights)
    let last = largestError(found.weights, expected.weights)
    let weights = propagatingMaximum(first.error, last.error) == first.error ? first : last
    return (
      Errors(
        loss: largest(found.losses, expected.losses), gradientNorm: largest(found.norms, expected.norms),
        gradients: gradients.error, weights: weights.error), [gradients.name, weights.name]
    )
  }

  private static func relative(_ difference: Double, _ size: Double) -> Double {
    abs(difference) / max(abs(size), 1e-30)
  }

  /// The larger of two; NaN if either is.
  fileprivate static func propagatingMaximum(_ a: Double, _ b: Double) -> Double {
    a.isNaN || a > b ? a : b
  }

  private static func largestError(
    _ found: [String: [Float]], _ expected: [String: [Float]]
  ) -> (error: Double, name: String) {
    var worst = (error: found.count == expected.count ? 0 : Double.infinity, name: "")
    for (name, reference) in expected.sorted(by: { $0.key < $1.key }) {
      guard let tensor = found[name], tensor.count == reference.count else { return (.infinity, name) }
      var (difference, size) = (0.0, 0.0)
      for (a, b) in zip(tensor, reference) {
        difference += (Double(a) - Double(b)) * (Double(a) - Double(b))
        size += Double(b) * Double(b)
      }
      let error = relative(difference.squareRoot(), size.squareRoot())
      if !(error <= worst.error) { worst = (error, name) }
    }
    return worst
  }

  private static func areEqual(_ a: VerificationTrace, _ b: VerificationTrace) -> Bool {
    func bits(_ tensors: [String: [Float]]) -> [String: [UInt32]] {
      tensors.mapValues { $0.map(\.bitPattern) }
    }
    return a.losses.map(\.bitPattern) == b.losses.map(\.bitPattern)
      && a.norms.map(\.bitPattern) == b.norms.map(\.bitPattern) && bits(a.gradients) == bits(b.gradients)
      && bits(a.weights) == bits(b.weights)
  }
}

extension Verification.Outcome {
  fileprivate init(_ verified: VerificationCase) {
    self.init(
      model: verified.name, layout: verified.layoutText, options: verified.optionsText,
      ranks: verified.layout.worldSize, passed: false, errors: Verification.Errors(), worstTensors: [])
  }
}

extension Verification.Errors {
  /// The larger of each kind.
  fileprivate func worst(_ other: Verification.Errors) -> Verification.Errors {
    let larger = Verification.propagatingMaximum
    return Verification.Errors(
      loss: larger(loss, other.loss), gradientNorm: larger(gradientNorm, other.gradientNorm),
      gradients: larger(gradients, other.gradients), weights: larger(weights, other.weights))
  }
}

extension Verification.Tolerances {
  /// Whether every error is within its tolerance; NaN is not.
  fileprivate func allow(_ errors: Verification.Errors) -> Bool {
    errors.loss <= loss && errors.gradientNorm <= gradientNorm && errors.gradients <= gradients
      && errors.weights <= weights
  }
}

extension Verification.Report {
  /// The report of nothing.
  fileprivate static var empty: Verification.Report {
    Verification.Report(
      layouts: 0, passed: 0, failed: 0, worst: .init(), tolerances: .init(), pairs: 0, coveredPairs: 0,
      transport: "", seconds: 0, cases: [])
  }
}
