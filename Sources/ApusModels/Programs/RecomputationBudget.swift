import ApusCore
import ApusProgram

/// A byte budget that no recomputation can keep.
package struct RecomputationBudgetRefusal: Error, Hashable, CustomStringConvertible {
  package let budget: ByteCount
  /// The smallest plan found.
  package let least: ByteCount
  /// Weights, optimizer states, inputs and results, and sums of gradients over micro-batches.
  package let persistent: ByteCount
  /// The largest of them, in words.
  package let kept: String

  package var description: String {
    "training.recomputation: no plan fits a budget of \(budget): \(kept) take "
      + "\(persistent), and with everything computed again the step needs \(least); raise the budget to "
      + "\(least.bytes) bytes, or use a smaller micro-batch or a shorter sequence"
  }
}

/// Picks what a training step keeps for backward so that its plan fits a number of bytes.
package struct RecomputationBudget {
  package let settings: RecomputationSettings

  /// Gives up rungs of the ladder, cheapest work for each byte first, and of the last one only as many layers
  /// as are needed. Each candidate is recorded and planned as the runtime does it: what fits, fits exactly.
  ///
  /// - Throws: where even the smallest plan is larger than `bytes`.
  package init(
    bytes: Int, _ declaration: ModelDeclaration, _ settings: TrainingProgramSettings, mesh: Mesh = .single,
    workspace: WorkspaceCatalogue
  ) throws(RecomputationBudgetRefusal) {
    var settings = settings
    settings.recomputation = .none
    let whole = StepProgram.training(declaration, settings, mesh: mesh)
    let everything = MemoryPlan(whole, workspace: workspace)
    var apart = settings
    apart.isFused = false
    // Positions are of instructions before gathers are split into start and end.
    apart.communication.prefetchedUnits = 0
    let ladder = StepProgram.training(declaration, apart, mesh: mesh).recomputationLadder
    func bytesNeeded(rungs: Int, layersOfLast: Int) -> Int {
      settings.recomputation = .repeating(ladder.positions(rungs: rungs, layersOfLast: layersOfLast))
      return MemoryPlan(StepProgram.training(declaration, settings, mesh: mesh), workspace: workspace)
        .totalBytes
    }
    guard everything.totalBytes > bytes else {
      self.settings = .none
      return
    }
    var least = everything.totalBytes
    for count in 1..<ladder.rungs.count + 1 {
      let most = ladder.rungs[count - 1].instructions.count
      let all = bytesNeeded(rungs: count, layersOfLast: most)
      least = min(least, all)
      guard all <= bytes else { continue }
      // Fewer layers free fewer bytes: the smallest number that fits, which is at least one.
      var (fails, fits) = (0, most)
      while fits - fails > 1 {
        let middle = (fits + fails) / 2
        if bytesNeeded(rungs: count, layersOfLast: middle) <= bytes { fits = middle } else { fails = middle }
      }
      self.settings = .repeating(ladder.positions(rungs: count, layersOfLast: fits))
      return
    }
    throw RecomputationBudgetRefusal(
      budget: ByteCount(bytes), least: ByteCount(least), persistent: ByteCount(everything.persistentBytes),
      kept: whole.keptText)
  }
}

extension StepProgram {
  /// The order in which a byte budget gives up what forward keeps. The program must have been recorded without
  /// recomputation and fusion.
  package var recomputationLadder: RecomputationLadder {
    RecomputationLadder(
      SavedValues(
        forward: segment(.forward)?.instructions ?? [], backward: segment(.backward)?.instructions ?? [],
        boundaries: layerInputs),
      storages: storages)
  }
}

extension RecomputationRequest {
  /// What a program is recorded with. A budget needs the model, its batch and the scratch memory of the
  /// backend that will run it.
  ///
  /// - Throws: where no plan keeps the budget.
  package func settings(
    for model: ModelConfiguration, _ settings: TrainingProgramSettings, workspace: WorkspaceCatalogue
  ) throws(RecomputationBudgetRefusal) -> RecomputationSettings {
    switch self {
    case .policy(let policy): .uniform(policy)
    case .layers(let rules): .layers(rules)
    case .budget(let bytes):
      try RecomputationBudget(
        bytes: bytes, model.declaration, settings,
        mesh: Mesh(settings.layout, keyValueCopies: model.keyValueCopies(settings.layout)),
        workspace: workspace
      ).settings
    }
  }
}
