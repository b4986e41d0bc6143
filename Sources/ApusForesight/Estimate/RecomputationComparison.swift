import ApusCore
import ApusModels
import ApusProgram

/// What each recomputation policy saves and costs on one model, counted in the recorded programs (S14 to S16).
package struct RecomputationComparison: Hashable, Sendable {
  /// One policy.
  package struct Row: Hashable, Sendable {
    package let policy: RecomputationPolicy
    /// The arena.
    package let planned: ByteCount
    /// Activations and workspace at their peak.
    package let transient: ByteCount
    /// Matrix FLOPs of forward and backward beyond those without recomputation, as a share.
    package let extraFLOPs: Double
  }

  package let rows: [Row]

  /// The published upper bound of `full`: forward once more, a third of forward and backward (S15).
  package static let publishedFull = 1.0 / 3

  package init(
    _ model: ModelConfiguration, _ settings: TrainingProgramSettings, workspace: WorkspaceCatalogue
  ) {
    let programs = RecomputationPolicy.allCases.map { policy in
      var settings = settings
      settings.recomputation = policy
      return (policy: policy, program: StepProgram.training(model, settings))
    }
    func flops(_ program: StepProgram) -> Double {
      Double(
        program.segments.reduce(0) { sum, segment in
          [.forward, .backward].contains(segment.kind) ? sum + segment.cost.flops : sum
        })
    }
    let base = flops(programs[0].program)
    rows = programs.map { policy, program in
      let plan = MemoryPlan(program, workspace: workspace)
      return Row(
        policy: policy, planned: ByteCount(plan.totalBytes), transient: ByteCount(plan.transientBytes),
        extraFLOPs: flops(program) / base - 1)
    }
  }
}
