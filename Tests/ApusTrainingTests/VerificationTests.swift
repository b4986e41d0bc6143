import ApusCore
import ApusModels
import ApusProgram
import ApusTraining
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
  }

  /// Every layout with the axis fails when one of its sums is left out, or made twice.
  @Test(arguments: ["data", "tensor"], ["skipped", "twice"])
  func plantedErrorsAreCaught(axis: String, fault: String) throws {
    let plan = VerificationPlan(
      models: Array(VerificationCase.models.prefix(1)), maximumRanks: 2, minimum: 0)
    let report = try Verification(plan) { program in
      Self.plant(fault, axis, in: &program)
    }.inProcess()
    let affected = report.cases.filter { $0.layout.contains("\(axis) 2") && !$0.layout.contains("zero") }
    #expect(!affected.isEmpty)
    #expect(affected.allSatisfy { !$0.passed }, "\(affected.filter(\.passed))")
    #expect(report.failed >= affected.count)
  }

  /// Leaves out the first sum over the axis in backward, or makes it twice.
  private static func plant(_ fault: String, _ axis: String, in program: inout StepProgram) {
    // With ZeRO the sums also make the shards: there is no program without them.
    guard program.units.allSatisfy({ $0.shard == nil }) else { return }
    for group in program.groups.indices {
      for segment in program.groups[group].indices where program.groups[group][segment].kind == .backward {
        let instructions = program.groups[group][segment].instructions
        let victim = instructions.firstIndex { instruction in
          guard let move = instruction.op.move, move.axis.rawValue == axis else { return false }
          if case .waitMove = instruction.op { return false }
          return move.collective == .allReduce
        }
        guard let victim else { continue }
        var changed = instructions
        var transfer: Int?
        if case .startMove(let start) = instructions[victim].op { transfer = start.transfer }
        func ends(_ instruction: Instruction) -> Bool {
          if case .waitMove(let wait) = instruction.op { wait.transfer == transfer } else { false }
        }
        let sum = instructions[victim].outputs[0].tensor
        let isInPlace = instructions[victim].inputs[0].storage == sum.storage
        if fault == "skipped", !isInPlace {
          // Each rank goes on with its own term.
          changed[victim].op = Copy().op
        } else if fault == "skipped" {
          changed.remove(at: victim)
          changed.removeAll(where: ends)
        } else if let end = instructions.firstIndex(where: ends) {
          // Once more behind the end, on what has been summed.
          var again = instructions[victim]
          again.op = instructions[victim].op.move!.op
          again.inputs[0] = sum
          changed.insert(again, at: end + 1)
        } else {
          var again = instructions[victim]
          again.inputs[0] = sum
          changed.insert(again, at: victim + 1)
        }
        program.groups[group][segment].instructions = changed
      }
    }
  }
}
