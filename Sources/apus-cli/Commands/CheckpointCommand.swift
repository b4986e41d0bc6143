import ApusCheckpoint
import ApusCore
import ApusModels
import ApusReport
import ApusTraining
import Foundation

/// `apus checkpoint`: looks at what a run has saved.
enum CheckpointCommand {
  static let entry = CommandEntry.group(
    name: "checkpoint", summary: "Look at what a run has saved.", commands: [Inspect.self])

  /// `apus checkpoint inspect RUN_OR_CHECKPOINT`
  enum Inspect: Command {
    static let name = "inspect"
    static let summary = "List checkpoints with their sizes and tensors, and find damage."
    static let arguments = ArgumentsSpecification(
      positionals: [Positional("RUN", help: "A run, or one checkpoint of it.")],
      options: [
        .value("step", "N", .integer(0...Int.max), help: "Only the checkpoint of this step."),
        .flag("verify", help: "Read every byte and compare checksums, not only sizes and headers."),
        .flag("json", help: "Print everything as JSON."),
      ])

    static func run(_ arguments: ParsedArguments) throws {
      let place = try CheckpointPlace(arguments.required("RUN"))
      let (step, verifying) = (arguments.integer("step"), arguments.flag("verify"))
      try place.checkStep(step)
      var checkpoints = try place.checkpoints()
      if let step {
        let available = checkpoints.map(\.step)
        checkpoints.removeAll { $0.step != step }
        if checkpoints.isEmpty {
          throw CheckpointError.noSuchStep(step: step, folder: place.path, available: available)
        }
      }
      let inspected = try checkpoints.map { try Inspection($0.folder, step: $0.step, verifying: verifying) }
      let leftovers = step == nil ? place.leftovers() : []
      if arguments.flag("json") {
        try StandardOutput.write(
          json: Report(
            path: place.path, verified: verifying, checkpoints: inspected.map(\.facts), leftovers: leftovers))
      } else {
        try StandardOutput.write(text(place, inspected, verifying: verifying, leftovers: leftovers))
      }
      try complain(about: inspected, in: place)
    }

    private static func text(
      _ place: CheckpointPlace, _ inspected: [Inspection], verifying: Bool, leftovers: [String]
    ) -> String {
      guard !inspected.isEmpty else { return "\(place.path) holds no checkpoint yet\n" }
      var table = TextTable([
        .number("step"), .number("size"), .number("files"), .number("tensors"), .text("condition"),
      ])
      for one in inspected {
        let good = verifying ? "whole, checksums match" : "whole"
        table.add([
          String(one.summary.step), ByteCount(one.summary.bytes).description, String(one.summary.fileCount),
          String(one.summary.tensorCount), one.summary.damage.map { "damaged: \($0)" } ?? good,
        ])
      }
      var text = table.description
      for name in leftovers { text += "left by an interrupted save: \(name)\n" }
      if let newest = inspected.last(where: { $0.summary.damage == nil }) { text += "\n" + newest.text }
      return text
    }

    /// Ends with an error when something is damaged, so that scripts notice.
    private static func complain(about inspected: [Inspection], in place: CheckpointPlace) throws {
      let damaged = inspected.filter { $0.summary.damage != nil }.map { String($0.summary.step) }
      guard !damaged.isEmpty else { return }
      let newest = inspected.last { $0.summary.damage == nil }
      let remedy = newest.map { "; the newest whole one is step \($0.summary.step)" } ?? ""
      throw CommandError.damaged(
        "\(place.path): damaged at step \(damaged.joined(separator: ", "))\(remedy)")
    }

    private struct Report: Encodable {
      let path: String
      let verified: Bool
      let checkpoints: [Inspection.Facts]
      let leftovers: [String]
    }
  }
}

/// What there is to say about one checkpoint.
struct Inspection {
  let summary: CheckpointSummary
  /// Nil where the checkpoint is damaged or another program's.
  let state: CheckpointState?

  init(_ folder: URL, step: Int, verifying: Bool) throws {
    let summary = try CheckpointSummary(inspecting: folder, step: step, verifying: verifying)
    self.summary = summary
    state = summary.state.flatMap { try? JSONDecoder().decode(CheckpointState.self, from: Data($0.utf8)) }
  }

  /// The state, and the tensors as a table; optimizer moments in one line.
  var text: String {
    var listing = TensorListing()
    var moments = 0
    for tensor in summary.tensors {
      if tensor.name.hasPrefix("optimizer.") {
        moments += 1
      } else {
        listing.add(tensor.name, shape: tensor.shape, type: SafetensorsType(tensor.type).rawValue)
      }
    }
    var text = "step \(summary.step)"
    if let state {
      let seen = state.tokensSeen > 0 ? ", \(state.tokensSeen.grouped) tokens seen" : ""
      text += ": \(state.model.family.rawValue) of \(counted(state.model.layerCount, "layer"))\(seen)"
    }
    text += "\n\n\(listing)\n\(listing.elementCount.grouped) parameters in "
    text += counted(listing.tensorCount, "tensor")
    return text + (moments > 0 ? "; and \(counted(moments, "tensor")) of" : "; no") + " optimizer moments\n"
  }

  var facts: Facts {
    Facts(
      step: summary.step, path: summary.path, damage: OrNull(summary.damage), bytes: summary.bytes,
      files: summary.fileCount, state: OrNull(state.map(StateFacts.init)),
      tensors: summary.tensors.map {
        TensorFacts(name: $0.name, type: SafetensorsType($0.type).rawValue, shape: $0.shape)
      })
  }

  struct Facts: Encodable {
    let step: Int
    let path: String
    let damage: OrNull<String>
    let bytes: Int
    let files: Int
    let state: OrNull<StateFacts>
    let tensors: [TensorFacts]
  }

  struct StateFacts: Encodable {
    let tokensSeen: Int
    let seed: Int
    let tokenizerFingerprint: String
    let model: ModelConfiguration

    init(_ state: CheckpointState) {
      (tokensSeen, seed) = (state.tokensSeen, state.seed)
      (tokenizerFingerprint, model) = (state.tokenizerFingerprint, state.model)
    }
  }
}
