import ApusCommunication
import ApusConfiguration
import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import ApusRuntime
import ApusTraining
import Foundation
import Testing

@Suite struct StepForesightTests {
  private let model = ModelConfiguration(
    family: .llama, vocabularySize: 512, maximumSequenceLength: 64, layerCount: 2, hiddenSize: 64,
    headCount: 4, keyValueHeadCount: 2)

  private func settings(_ layout: ParallelLayout) -> TrainingProgramSettings {
    TrainingProgramSettings(microBatchSize: 2, sequenceLength: 64, layout: layout)
  }

  /// Curves for every kind of instruction that programs like the asked one have, none negative, and a time that is
  /// of the right order: a machine that others use too allows no more here.
  @Test(arguments: [ParallelLayout(), ParallelLayout(data: 2, zeroStage: 3)])
  func calibration(_ layout: ParallelLayout) throws {
    let settings = settings(layout)
    let subject = CalibrationGrid.Subject(like: model, settings)
    let sharing =
      layout.worldSize == 1
      ? try MachineCalibration.measure([subject], threads: 1)
      : try LocalRanks.run(2) { world in
        try MachineCalibration.measure(
          [subject], threads: 1, place: RankPlace(world, ranksOnMachine: 2))
      }[0]
    #expect(sharing.ranks == layout.worldSize && sharing.threads == 1)
    #expect(sharing.curves.values.allSatisfy { $0.factors.allSatisfy { $0 >= 0 } })
    let program = StepProgram.training(model, settings)
    let foresight = StepForesight(
      program, MemoryPlan(program) { _ in 0 },
      StepForesight.Step(microbatches: 3, threads: 1),
      at: MeshPosition(program.mesh, rank: 0), MeasuredProcessor([sharing]))
    let seconds = try #require(foresight.stepSeconds, "\(foresight.reason ?? "")")
    #expect(seconds > 1e-4 && seconds < 5)
    #expect(foresight.sentBytes.isEmpty == (layout.worldSize == 1))
  }

  /// Every subject has models whose heads, rows and widths divide as its layouts need.
  @Test func gridDivides() {
    for family in ModelConfiguration.Family.allCases {
      for layout in [
        ParallelLayout(tensor: 4, sequenceParallel: true), ParallelLayout(data: 3), ParallelLayout(),
      ] {
        let subject = CalibrationGrid.Subject(
          family: family, precision: .fp32, recomputations: [.none, .full], dropouts: [0], layouts: [layout])
        for index in CalibrationGrid.points.indices {
          let (_, model, settings) = CalibrationGrid.program(index, subject)
          #expect(model.headSize.isMultiple(of: 2) && model.headSize * model.headCount == model.hiddenSize)
          #expect(StepProgram.training(model, settings).mesh.layout == layout)
        }
      }
    }
    #expect(!CalibrationGrid.canDivide(over: ParallelLayout(tensor: 3)))
  }

  /// Each run of the shipped sweep consists of kinds of instructions that a description of this machine has.
  @Test func theShippedSweepIsMeasured() throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(
      path: "../../Configurations/sweeps")
    let specification = try SweepSpecification(
      yaml: String(contentsOf: folder.appending(path: "this-machine.yaml"), encoding: .utf8),
      name: "this-machine.yaml", catalogue: .shipped())
    guard case .run(let sweep) = specification.work else {
      Issue.record("no real runs")
      return
    }
    #expect(sweep.variations.count >= 60)
    func kinds(_ model: ModelConfiguration, _ settings: TrainingProgramSettings) -> Set<String> {
      let program = StepProgram.training(model, settings)
      let work = StepWork(
        program, MemoryPlan(program) { _ in 0 }, microbatches: 2, at: MeshPosition(program.mesh, rank: 0),
        cacheBytes: 1 << 20)
      return Set(work.entries.map(\.work.kind))
    }
    var measured: [Int: Set<String>] = [:]
    for ranks in [1, 2] {
      for subject in ThisMachine.subjects([.fp32, .bf16SummingInFloat32], ranks: ranks) {
        for index in CalibrationGrid.points.indices {
          let (_, model, settings) = CalibrationGrid.program(index, subject)
          measured[ranks, default: []].formUnion(kinds(model, settings))
        }
      }
    }
    for overrides in sweep.variations {
      let configuration = try Configuration.load(
        file: folder.appending(path: sweep.configuration), overrides: overrides)
      let model = try #require(configuration.model.shape)
      let settings = try configuration.programSettings(for: model) { _ in 0 }
      let missing = kinds(model, settings).subtracting(measured[settings.layout.worldSize] ?? [])
      #expect(missing.isEmpty, "\(overrides)")
    }
    // They are keys of a file.
    for kind in measured.values.joined() { #expect(!kind.hasSuffix(" ") && !kind.contains(":"), "\(kind)") }
  }

  /// What is not known is said.
  @Test func reasons() {
    let program = StepProgram.training(model, settings(ParallelLayout()))
    func foresight(_ processor: MeasuredProcessor?) -> StepForesight {
      StepForesight(
        program, MemoryPlan(program) { _ in 0 },
        StepForesight.Step(microbatches: 1, threads: 2),
        at: MeshPosition(program.mesh, rank: 0), processor)
    }
    #expect(foresight(nil).stepSeconds == nil && foresight(nil).arenaBytes > 0)
    let other = MeasuredProcessor.Sharing(ranks: 2, threads: 1, cacheBytes: 1, stepSeconds: 0, curves: [:])
    #expect(foresight(MeasuredProcessor([other])).reason?.contains("2x1") == true)
    let empty = MeasuredProcessor.Sharing(ranks: 1, threads: 2, cacheBytes: 1, stepSeconds: 0, curves: [:])
    #expect(foresight(MeasuredProcessor([empty])).reason?.contains("adamw") == true)
  }
}
