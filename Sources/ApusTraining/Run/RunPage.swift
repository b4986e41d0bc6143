import ApusCore
import ApusProgram
import ApusReport
import ApusRuntime
import Foundation

/// What a run's report page says.
enum RunPage {
  static func report(
    _ setup: TrainingSetup, _ facts: RunFacts, status: String, samples: [RunReport.Sample]
  ) -> RunReport {
    let model = setup.model
    let ranks = setup.configuration.layout.ranks
    let isAlone = setup.place.isAlone
    return RunReport(
      name: setup.folder.url.lastPathComponent, status: status, started: facts.started,
      model: "\(model.family == .gpt2 ? "GPT-2" : "Llama"), \(model.layerCount) layers, hidden size "
        + "\(model.hiddenSize), vocabulary \(model.vocabularySize.grouped)",
      parameterCount: setup.executor.program.parameterCount, command: facts.command.joined(separator: " "),
      configurationYAML: setup.configuration.resolvedYAML,
      machine: [
        .init("Processor", facts.processor), .init("Cores", "\(facts.cores)"),
        .init("Threads", "\(facts.threads)\(isAlone ? "" : " a rank")"),
        .init("Memory", "\(ByteCount(facts.memoryBytes))"), .init("System", facts.operatingSystem),
      ] + (isAlone ? [] : [.init("Ranks", "\(ranks.worldSize): \(TrainingSetup.layoutText(ranks))")]),
      versions: [
        .init("Apus", facts.apusVersion), .init("Compiler", facts.compiler),
        .init("Arithmetic", facts.arithmetic),
      ],
      memory: memory(setup.executor), samples: samples,
      notes: [
        "Utilisation counts 6 FLOPs a parameter and token, causal attention as half, no recomputation, against "
          + "the peak measured at the start of the run.",
        "The head and the loss are computed in the backward segment, so forward time excludes them.",
      ] + (isAlone ? [] : ["Memory, times and communication are the first rank's."]))
  }

  private static func memory(_ executor: Executor) -> RunReport.Memory {
    let (program, plan) = (executor.program, executor.plan)
    let persistent = Role.allCases.filter(\.isPersistent)
    let roles = Role.allCases.compactMap { role in
      plan.bytesAtPeak[role].flatMap {
        $0 > 0 ? RunReport.RoleBytes(role: role.title, plannedBytes: $0) : nil
      }
    }
    var points: [RunReport.Point] = []
    var fixed: [String: Int] = [:]
    for role in persistent where program.persistentByteCount(of: role) > 0 {
      fixed[role.title] = program.persistentByteCount(of: role)
    }
    for (group, timeline) in zip(program.groups, plan.timelines) where group[0].kind != .evaluation {
      let instructions = group.flatMap { segment in segment.instructions.map { (segment.kind, $0) } }
      for (index, alive) in timeline.enumerated() {
        var bytes = fixed
        for (role, count) in alive { bytes[role.title] = count }
        let (kind, instruction) = instructions[index]
        points.append(
          .init(label: "\(kind): \(instruction.label) \(instruction.op.name)", bytesByRole: bytes))
      }
    }
    return RunReport.Memory(
      roles: roles, overStep: points, capacityBytes: Int(ProcessInfo.processInfo.physicalMemory))
  }
}

extension Role {
  /// The role as reports name it.
  package var title: String {
    switch self {
    case .parameter: "parameters"
    case .gradient: "gradients"
    case .optimizerState: "optimizer states"
    case .input: "inputs"
    case .result: "results"
    case .cache: "key-value cache"
    case .activation: "activations"
    case .communication: "communication"
    case .workspace: "workspace"
    }
  }
}
