import ApusCore
import ApusModels
import ApusProgram
import Testing

@Suite struct RecomputationBudgetTests {
  private static let llama = ModelConfiguration(
    family: .llama, vocabularySize: 96, maximumSequenceLength: 64, layerCount: 5, hiddenSize: 32,
    headCount: 4,
    keyValueHeadCount: 2, intermediateSize: 80)

  private func settings(_ recomputation: RecomputationSettings = .none) -> TrainingProgramSettings {
    TrainingProgramSettings(microBatchSize: 4, sequenceLength: 64, recomputation: recomputation)
  }

  private func plan(_ recomputation: RecomputationSettings) -> MemoryPlan {
    MemoryPlan(.training(Self.llama, settings(recomputation)), workspace: Samples.workspace)
  }

  private func budget(_ bytes: Int) throws -> RecomputationSettings {
    try RecomputationRequest.budget(bytes: bytes).settings(
      for: Self.llama, settings(), workspace: Samples.workspace)
  }

  private func flops(_ recomputation: RecomputationSettings) -> Int {
    StepProgram.training(Self.llama, settings(recomputation)).segment(.backward)!.cost.flops
  }

  /// Every budget between the smallest plan and the one that keeps everything is met exactly as planned, and
  /// more memory never costs more work.
  @Test func plansFitTheirBudgets() throws {
    let (least, most) = (plan(.full).totalBytes, plan(.none).totalBytes)
    var work: [Int] = []
    for bytes in stride(from: least, through: most, by: (most - least) / 17) {
      let picked = try budget(bytes)
      #expect(plan(picked).totalBytes <= bytes)
      work.append(flops(picked))
    }
    #expect(work == work.sorted(by: >))
    #expect(Set(work).count > 4)
    #expect(try budget(most) == .none)
    #expect(try budget(most - 1) != .none)
  }

  /// One byte less than the smallest plan is refused with the number that would do.
  @Test func impossibleBudgetsAreRefusedWithNumbers() throws {
    let refusal = try #require(throws: RecomputationBudgetRefusal.self) { try budget(1000) }
    #expect(refusal.persistent.bytes == plan(.none).persistentBytes)
    #expect(plan(try budget(refusal.least.bytes)).totalBytes == refusal.least.bytes)
    #expect(throws: RecomputationBudgetRefusal.self) { try budget(refusal.least.bytes - 1) }
    #expect(refusal.description.contains("raise the budget to \(refusal.least.bytes) bytes"))
  }

  /// The ladder's price counts what backward really repeats: recording with its rungs given up adds exactly
  /// those FLOPs.
  @Test(arguments: Samples.small + [llama])
  func laddersPriceWhatIsRepeated(_ model: ModelConfiguration) {
    func program(_ recomputation: RecomputationSettings) -> StepProgram {
      Samples.program(model, evaluates: false, recomputation: recomputation, isFused: false)
    }
    func work(_ program: StepProgram) -> Cost {
      program.segment(.forward)!.cost + program.segment(.backward)!.cost
    }
    let ladder = program(.none).recomputationLadder
    #expect(ladder.rungs.count >= 5)
    #expect(ladder.rungs.prefix(2).allSatisfy { $0.name.contains("norm") && $0.extra.flops == 0 })
    var (flops, freed) = (work(program(.none)).flops, 0)
    for (index, rung) in ladder.rungs.enumerated() {
      #expect(rung.instructions.count == model.layerCount && rung.freed > 0)
      flops += rung.extra.flops
      freed += rung.freed
      let given = ladder.positions(rungs: index + 1, layersOfLast: model.layerCount)
      #expect(work(program(.repeating(given))).flops == flops)
    }
    // All rungs together are the policy `full`, but for the last norm.
    let full = work(program(.full)).flops
    #expect(flops == full)
  }

  @Test func layersAreRecomputedOneByOne() {
    let half = RecomputationSettings.layers([LayerRecomputation(.full, layers: LayerSet(text: "0-1")!)])
    let all = RecomputationSettings.layers([LayerRecomputation(.full, layers: LayerSet(text: "0-4")!)])
    #expect(5 * (flops(half) - flops(.none)) == 2 * (flops(all) - flops(.none)))
    #expect(plan(all).totalBytes < plan(half).totalBytes && plan(half).totalBytes < plan(.none).totalBytes)
    #expect(
      flops(.layers([LayerRecomputation(.none, layers: LayerSet(0..<5))])) == flops(.none))
  }

  @Test func layerSetsAreReadAndWritten() throws {
    #expect(LayerSet(text: "0-5,8")?.description == "0-5,8")
    #expect(LayerSet(text: " 8, 3-4 ,5")?.description == "3-5,8")
    #expect(LayerSet(text: "7")?.highest == 7)
    for bad in ["", "a", "5-2", "1,", "-1", "1-2-3", "0-99999999"] { #expect(LayerSet(text: bad) == nil) }
    let set = try #require(LayerSet(text: "2-3,9"))
    #expect((0..<11).filter(set.contains) == [2, 3, 9])
    let overlap = LayerSet.overlap([
      LayerRecomputation(.full, layers: LayerSet([1, 4])),
      LayerRecomputation(.selective, layers: LayerSet([2, 4])),
    ])
    #expect(overlap?.layer == 4 && overlap?.first == 0 && overlap?.second == 1)
  }
}
