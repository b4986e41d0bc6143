import ApusCore
import ApusModels
import ApusProgram

/// What recomputation saves and costs on one model, counted in the recorded programs (S14 to S16): each policy,
/// what the job asks for, and the ladder from which a byte budget picks.
package struct RecomputationComparison: Hashable, Sendable {
  /// What one choice comes to.
  package struct Figures: Hashable, Sendable {
    /// The arena.
    package let planned: ByteCount
    /// Activations and workspace at their peak.
    package let transient: ByteCount
    /// Matrix FLOPs of forward and backward beyond those without recomputation, as a share.
    package let extraFLOPs: Double
  }

  /// One policy for the whole model.
  package struct Row: Hashable, Sendable {
    package let policy: RecomputationPolicy
    package let figures: Figures
  }

  /// One rung of the ladder, given up in all layers together with those above it.
  package struct Step: Hashable, Sendable {
    package let rung: RecomputationLadder.Rung
    package let figures: Figures
    /// In how many layers the job gives it up; nil where the job asks for no budget.
    package let taken: Int?
  }

  package let rows: [Row]
  /// What the job is recorded with, where that is no policy for the whole model.
  package let asked: Figures?
  package let ladder: [Step]

  /// The published upper bound of `full`: forward once more, a third of forward and backward (S15).
  package static let publishedFull = 1.0 / 3

  package init(
    _ model: ModelConfiguration, _ settings: TrainingProgramSettings, workspace: WorkspaceCatalogue
  ) {
    func program(_ recomputation: RecomputationSettings, isFused: Bool = true) -> StepProgram {
      var settings = settings
      settings.recomputation = recomputation
      settings.isFused = isFused
      return StepProgram.training(model, settings)
    }
    func flops(_ program: StepProgram) -> Double {
      Double(
        program.segments.reduce(0) { sum, segment in
          [.forward, .backward].contains(segment.kind) ? sum + segment.cost.flops : sum
        })
    }
    let base = program(.none)
    let apart = program(.none, isFused: false)
    let baseFLOPs = flops(base)
    func figures(_ program: StepProgram) -> Figures {
      let plan = MemoryPlan(program, workspace: workspace)
      return Figures(
        planned: ByteCount(plan.totalBytes), transient: ByteCount(plan.transientBytes),
        extraFLOPs: flops(program) / baseFLOPs - 1)
    }
    rows = RecomputationPolicy.allCases.map {
      Row(policy: $0, figures: figures($0 == .none ? base : program(.uniform($0))))
    }
    if case .uniform = settings.recomputation {
      asked = nil
    } else {
      asked = figures(program(settings.recomputation))
    }
    var given: Set<Int> = []
    ladder = apart.recomputationLadder.rungs.map { rung in
      given.formUnion(rung.instructions)
      var taken: Int?
      if case .repeating(let positions) = settings.recomputation {
        taken = rung.instructions.count { positions.contains($0) }
      }
      return Step(rung: rung, figures: figures(program(.repeating(given))), taken: taken)
    }
  }
}
