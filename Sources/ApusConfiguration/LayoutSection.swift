/// Over how many ranks each axis of parallelism divides the work.
///
/// The world size is the product of the degrees. Only 1 can run today: other degrees are problems.
public struct LayoutSection: Hashable, Sendable, Codable {
  /// Replicas that each take their own samples.
  public var data: Int
  /// Ranks that share each layer's matrices and heads.
  public var tensor: Int
  /// Ranks that share each sequence.
  public var context: Int
  /// Stages that share the layers.
  public var pipeline: Int
  /// Ranks that share the experts.
  public var expert: Int

  public init(data: Int = 1, tensor: Int = 1, context: Int = 1, pipeline: Int = 1, expert: Int = 1) {
    self.data = data
    self.tensor = tensor
    self.context = context
    self.pipeline = pipeline
    self.expert = expert
  }

  init(reading reader: inout SectionReader) {
    let degrees = 1...1_048_576
    data = reader.integer("data", degrees, aliases: ["dp"]) ?? 1
    tensor = reader.integer("tensor", degrees, aliases: ["tp"]) ?? 1
    context = reader.integer("context", degrees, aliases: ["cp"]) ?? 1
    pipeline = reader.integer("pipeline", degrees, aliases: ["pp"]) ?? 1
    expert = reader.integer("expert", degrees, aliases: ["ep"]) ?? 1
    for (name, alias, degree) in named where degree != 1 {
      reader.report(
        reader.has(name) ? name : alias,
        "\(name) parallel degree \(degree) cannot run yet: training has one rank",
        "use 1")
    }
  }

  private var named: [(name: String, alias: String, degree: Int)] {
    [
      ("data", "dp", data), ("tensor", "tp", tensor), ("context", "cp", context),
      ("pipeline", "pp", pipeline), ("expert", "ep", expert),
    ]
  }

  /// Notes degrees that do not divide what they share.
  func check(_ model: ModelSection, sequenceLength: Int?, in reader: inout SectionReader) {
    if let shape = model.shape {
      if !shape.headCount.isMultiple(of: tensor) {
        reader.report(
          reader.has("tensor") ? "tensor" : "tp",
          "tensor parallel degree \(tensor) does not divide \(shape.headCount) heads",
          "use \(alternatives(divisors(of: shape.headCount).map(String.init)))")
      }
      if pipeline > shape.layerCount {
        reader.report(
          reader.has("pipeline") ? "pipeline" : "pp",
          "pipeline parallel degree \(pipeline) exceeds \(shape.layerCount) layers",
          "use at most \(shape.layerCount)")
      }
    }
    if let sequenceLength, !sequenceLength.isMultiple(of: context) {
      reader.report(
        reader.has("context") ? "context" : "cp",
        "context parallel degree \(context) does not divide the sequence length \(sequenceLength)",
        "use a divisor of \(sequenceLength)")
    }
  }

  var resolved: ResolvedValue {
    var entries = ResolvedEntries()
    for (name, _, degree) in named { entries.add(name, degree) }
    return .mapping(entries)
  }
}
