import ApusForesight
import ApusModels

/// The options by which `apus forecast` and `apus plan` put experts in place of a preset's feed-forward blocks.
enum ExpertOptions {
  static let options: [Option] = [
    .value(
      "experts", "E", .integer(2...16_384), help: "Put so many experts in place of each feed-forward block."),
    .value("active-experts", "K", .integer(1...16_384), default: "2", help: "Experts that a token visits."),
    .value(
      "expert-size", "F", .integer(1...8_388_608),
      help: "Intermediate size of one expert; the preset's when not given."),
    .value(
      "shared-expert-size", "F", .integer(0...8_388_608), default: "0",
      help: "Intermediate size of a block beside the experts that every token passes."),
  ]

  /// - Throws: where options about experts are given without any experts.
  static func experts(_ arguments: ParsedArguments, _ model: ModelConfiguration) throws -> ExpertShape? {
    let shared = arguments.integer("shared-expert-size") ?? 0
    guard let count = arguments.integer("experts") else {
      guard arguments.integer("expert-size") == nil, shared == 0 else {
        throw UsageError("--expert-size and --shared-expert-size need --experts")
      }
      return nil
    }
    let active = arguments.integer("active-experts") ?? 2
    guard active <= count else {
      throw UsageError("--active-experts \(active) of --experts \(count); use at most \(count)")
    }
    return ExpertShape(
      count: count, active: active,
      intermediateSize: arguments.integer("expert-size") ?? model.intermediateSize,
      sharedSize: shared)
  }

  /// - Throws: where the experts cannot be shared out to the layout's expert ranks.
  static func check(_ experts: ExpertShape?, _ layout: JobLayout) throws {
    let degree = layout.expert
    guard degree > 1 else { return }
    guard let experts else { throw UsageError("--expert \(degree) needs --experts") }
    guard experts.count.isMultiple(of: degree), (layout.data * layout.context).isMultiple(of: degree) else {
      throw UsageError(
        "--expert \(degree) divides not both \(experts.count) experts and data x context = "
          + "\(layout.data * layout.context)")
    }
  }
}
