import ApusCommunication
import ApusCore
import ApusModels
import ApusProgram

/// Trains small models under many layouts and compares each with one rank.
package struct Verification {
  package let plan: VerificationPlan
  private let alter: @Sendable (inout StepProgram, VerificationCase) -> Void

  /// - Parameter alter: changes each program of several ranks before it runs, to plant an error.
  package init(
    _ plan: VerificationPlan,
    alter: @escaping @Sendable (inout StepProgram, VerificationCase) -> Void = { _, _ in }
  ) {
    self.plan = plan
    self.alter = alter
  }

  /// Leaves a program alone.
  private static let asItIs: @Sendable (inout StepProgram, VerificationCase) -> Void = { _, _ in }

  /// Where the ranks of a layout run.
  private struct Transport {
    var name: String
    /// Ranks that there are.
    var ranks: Int
    /// Whether sums go in order of rank, whatever the bucket.
    var sumsInOrder: Bool
    /// Every so many layouts one is run twice.
    var repetition: Int
    /// Runs a layout; nil on all ranks but its first.
    var trace: (VerificationRun) throws -> VerificationTrace?
  }

  /// Runs every layout with its ranks as threads of this process.
  ///
  /// - Parameter tell: told each outcome as it comes.
  package func inProcess(tell: (Outcome) -> Void = { _ in }) throws -> Report {
    let clock = Stopwatch()
    let transport = Transport(
      name: "threads of one process", ranks: Int.max, sumsInOrder: true, repetition: 1
    ) { run in
      try LocalRanks.run(run.verified.layout.worldSize) { world in try run.trace(on: world.data) }[0]
    }
    let outcomes = try outcomes(transport, tell: tell)
    return Report(outcomes, plan: plan, transport: transport.name, seconds: clock.seconds)
  }

  /// Runs the layouts that the processes of `world` can form, with as many of them as each needs. All ranks call
  /// it, and all learn how many layouts failed; the report is the first rank's.
  ///
  /// - Parameter repetition: every so many layouts one is run twice.
  package func acrossProcesses(
    _ world: any World, transport: String, repetition: Int = 5, tell: (Outcome) -> Void = { _ in }
  ) throws -> (failed: Int, report: Report?) {
    let clock = Stopwatch()
    let transport = Transport(
      name: transport, ranks: world.size, sumsInOrder: false, repetition: repetition
    ) { run in
      let takesPart = world.rank < run.verified.layout.worldSize
      let group = try world.data.split(colour: takesPart ? 0 : 1, key: world.rank, name: "verified")
      let trace = takesPart ? try run.trace(on: group) : nil
      try world.control.barrier(label: "the end of a layout")
      return trace
    }
    let outcomes = try outcomes(transport, tell: tell)
    let report = Report(outcomes, plan: plan, transport: transport.name, seconds: clock.seconds)
    let failed = try world.control.broadcast([Int32(report.failed)], label: "failed layouts")
    return (Int(failed[0]), world.rank == 0 ? report : nil)
  }

  /// What came out for the layouts, on their first rank; elsewhere nothing.
  private func outcomes(_ transport: Transport, tell: (Outcome) -> Void) throws -> [Outcome] {
    var references: [Reference: VerificationTrace] = [:]
    var outcomes: [Outcome] = []
    for (index, verified) in plan.cases.enumerated() where verified.layout.worldSize <= transport.ranks {
      let run = VerificationRun(
        verified: verified, alter: verified.layout.worldSize > 1 ? alter : Self.asItIs)
      let found = try transport.trace(run)
      let again = index.isMultiple(of: transport.repetition) ? try transport.trace(run) : nil
      let others = transport.sumsInOrder ? try Self.synchronisedOtherwise(run).map(transport.trace) : []
      guard let found else { continue }
      var outcome = Outcome(verified)
      let key = Reference(verified)
      let expected = try references[key] ?? Self.reference(verified)
      references[key] = expected
      (outcome.errors, outcome.worstTensors) = found.errors(against: expected)
      outcome.communicationIsAsForeseen = found.miscounted == nil
      outcome.failure = found.inconsistency ?? found.miscounted
      outcome.repeated = again.map { $0.hasBits(of: found) }
      outcome.synchronisationsAgree =
        others.isEmpty ? nil : others.allSatisfy { $0?.hasGradientBits(of: found) == true }
      outcome.passed =
        Tolerances.of(verified.precision).allow(outcome.errors) && outcome.repeated != false
        && outcome.synchronisationsAgree != false && outcome.failure == nil
      outcomes.append(outcome)
      tell(outcome)
    }
    return outcomes
  }

  /// The first step of a layout with its gradients summed in the other ways that there are.
  private static func synchronisedOtherwise(_ run: VerificationRun) -> [VerificationRun] {
    guard run.verified.layout.data > 1 else { return [] }
    return CommunicationPolicy.GradientSynchronisation.allCases.compactMap { gradients in
      guard gradients != run.verified.communication.gradients else { return nil }
      var other = run
      other.verified.communication.gradients = gradients
      other.steps = 1
      return other
    }
  }

  // MARK: One rank

  /// What a step on one rank depends on.
  private struct Reference: Hashable {
    let model: ModelConfiguration
    let sequences: Int
    let precision: PrecisionPolicy

    init(_ verified: VerificationCase) {
      (model, sequences, precision) = (verified.model, verified.sequences, verified.precision)
    }
  }

  /// The same step on one rank: all sequences in one micro-batch, nothing recomputed.
  private static func reference(_ verified: VerificationCase) throws -> VerificationTrace {
    var one = VerificationCase(
      verified.name, verified.model, ParallelLayout(), sequenceLength: verified.sequenceLength)
    one.microBatchSize = verified.sequences
    one.precision = verified.precision
    let run = VerificationRun(verified: one, alter: Self.asItIs)
    return try run.trace(on: LocalWorld.alone().data) ?? VerificationTrace()
  }
}

extension Verification.Outcome {
  fileprivate init(_ verified: VerificationCase) {
    self.init(
      model: verified.name, layout: verified.layoutText, options: verified.optionsText,
      precision: verified.precision.name, ranks: verified.layout.worldSize, passed: false,
      errors: Verification.Errors(), worstTensors: [], communicationIsAsForeseen: true)
  }
}
