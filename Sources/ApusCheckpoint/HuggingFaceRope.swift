import ApusCore
import ApusModels

/// Rotary positions in a Llama `config.json`: `rope_theta` and `rope_scaling` side by side up to
/// transformers 4, one `rope_parameters` since transformers 5.
enum HuggingFaceRope {
  static func read(
    _ fields: inout ConfigurationFields
  ) -> (theta: Double, scaling: ModelConfiguration.RopeScaling?) {
    let outerTheta = fields.positive("rope_theta", default: 10_000)
    let key = fields.present("rope_parameters") != nil ? "rope_parameters" : "rope_scaling"
    guard let value = fields.present(key) else { return (outerTheta, nil) }
    guard case .object = value else {
      fields.problems.append("\(key) is \(value.text()), expected an object")
      return (outerTheta, nil)
    }
    var rope = ConfigurationFields(value, path: key + ".")
    defer { fields.problems += rope.problems }
    let theta = rope.positive("rope_theta", default: outerTheta)
    if rope.positive("partial_rotary_factor", default: 1) != 1 {
      rope.problems.append("\(key).partial_rotary_factor other than 1 is not supported")
    }
    // Before transformers 4.43 the type stood under "type".
    let kind = rope.text("rope_type", default: rope.text("type", default: "default"))
    switch kind {
    case "default":
      return (theta, nil)
    case "llama3":
      let scaling = ModelConfiguration.RopeScaling(
        factor: rope.positive("factor"), lowFrequencyFactor: rope.positive("low_freq_factor"),
        highFrequencyFactor: rope.positive("high_freq_factor"),
        originalMaximumPosition: rope.size("original_max_position_embeddings"))
      if scaling.highFrequencyFactor <= scaling.lowFrequencyFactor, rope.problems.isEmpty {
        rope.problems.append("\(key).high_freq_factor must be above low_freq_factor")
      }
      return (theta, scaling)
    default:
      rope.problems.append(
        "\(key) of type \"\(kind)\" is not supported; supported are \"default\" and \"llama3\"")
      return (theta, nil)
    }
  }

  /// The members of a `config.json` that every version of transformers, and other tools, read.
  static func members(of model: ModelConfiguration) -> [JSONMember] {
    var scaling = JSONValue.null
    if let s = model.ropeScaling {
      scaling = .object([
        JSONMember("rope_type", .string("llama3")), JSONMember("factor", .number(s.factor)),
        JSONMember("low_freq_factor", .number(s.lowFrequencyFactor)),
        JSONMember("high_freq_factor", .number(s.highFrequencyFactor)),
        JSONMember("original_max_position_embeddings", .number(s.originalMaximumPosition)),
      ])
    }
    return [JSONMember("rope_theta", .number(model.ropeTheta)), JSONMember("rope_scaling", scaling)]
  }
}
