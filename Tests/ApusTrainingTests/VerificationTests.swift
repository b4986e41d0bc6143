import ApusCore
import ApusModels
import ApusProgram
import ApusTraining
import Synchronization
import Testing

/// `apus verify` finds nothing where there is nothing, and every planted error.
@Suite struct VerificationTests {
  @Test func thePlanCoversEveryPair() {
    let plan = VerificationPlan(maximumRanks: 8)
    #expect(plan.cases.count >= 200)
    #expect(plan.coveredPairs == plan.pairs && plan.pairs > 300)
    #expect(Set(plan.cases).count == plan.cases.count)
    #expect(plan.cases.contains { $0.layout.data == 3 } && plan.cases.contains { $0.layout.tensor == 3 })
    #expect(plan.cases.contains { $0.layout.tensor > $0.model.keyValueHeadCount })
    #expect(plan.cases.contains { $0.model.tiedEmbeddings && $0.layout.zeroStage == 3 })
    #expect(plan.cases.contains { $0.layout.shardDegree == 2 && $0.layout.zeroStage == 3 })
  }

  @Test func layoutsOfThreeRanksPass() throws {
    let report = try Verification(VerificationPlan(maximumRanks: 3, minimum: 0)).inProcess()
    #expect(report.layouts == report.cases.count && report.layouts > 30)
    #expect(report.failed == 0, "\(report.cases.filter { !$0.passed })")
    #expect(report.cases.contains { $0.repeated == true })
    #expect(report.worst.gradients > 0 && report.worst.gradients < 1e-5)
    #expect(report.precisions.count == 4 && report.precisions.allSatisfy { $0.layouts > 5 })
    #expect(report.cases.allSatisfy { $0.communicationIsAsForeseen && $0.repeated == true })
    #expect(report.cases.contains { $0.synchronisationsAgree == true })
  }

  /// Every layout that an error can be planted in fails, by its numbers alone.
  @Test(arguments: PlantedError.allCases) func plantedErrorsAreCaught(_ error: PlantedError) throws {
    let plan = VerificationPlan(
      models: Array(VerificationCase.models.prefix(1)), maximumRanks: 2, minimum: 0)
    let planted = Mutex<Set<VerificationCase>>([])
    let report = try Verification(plan) { program, verified in
      if error.plant(in: &program) { planted.withLock { _ = $0.insert(verified) } }
    }.inProcess()
    let affected = zip(plan.cases, report.cases).filter { verified, _ in
      planted.withLock { $0.contains(verified) }
    }
    #expect(affected.count > 3)
    for (verified, outcome) in affected {
      let isFar = !Verification.Tolerances.of(verified.precision).allow(outcome.errors)
      let areCopiesUnequal = outcome.failure?.contains("copy") == true
      #expect(isFar || areCopiesUnequal, "\(outcome)")
      #expect(!outcome.passed)
    }
  }

  /// Sizes that no layout divides evenly, and a model with 7 heads.
  @Test func modelsOfOnesOwnPass() throws {
    for (vocabulary, heads, keyValueHeads) in [(50_257, 7, 7), (101, 6, 2)] {
      let own = ModelConfiguration(
        family: keyValueHeads == heads ? .gpt2 : .llama, vocabularySize: vocabulary,
        maximumSequenceLength: 64, layerCount: 3, hiddenSize: heads * 8, headCount: heads,
        keyValueHeadCount: keyValueHeads, headSize: 8, intermediateSize: heads * 16)
      let small = VerificationCase.cutDown(own, maximumRanks: 7)
      let plan = VerificationPlan(models: [("own", small)], maximumRanks: 7, minimum: 0)
      #expect(plan.cases.contains { $0.layout.tensor == heads && $0.layout.sequenceParallel })
      let report = try Verification(plan).inProcess()
      #expect(report.layouts > 30 && report.failed == 0, "\(report.cases.filter { !$0.passed })")
    }
  }
}
