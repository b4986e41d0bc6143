import ApusCore
import ApusForesight
import ApusProgram
import ApusReport

/// The ranks of a layout, as `apus estimate` shows them: a line a device of the pipeline, and what a rank of the
/// fullest one exchanges in a step.
struct LayoutEstimateText: Encodable {
  private let ranks: Int
  private let devices: [Device]
  private let fullest: Int
  private let exchanges: [Exchange]

  private struct Device: Encodable {
    let device: Int
    let layers: String
    let parameters, persistent, saved, inFlight, shared, total: Int

    enum CodingKeys: String, CodingKey {
      case device, layers, parameters
      case persistent = "persistent_bytes"
      case saved = "saved_bytes"
      case inFlight = "micro_batches_in_flight"
      case shared = "shared_bytes"
      case total = "total_bytes"
    }
  }

  private struct Exchange: Encodable {
    let axis, kind: String
    let calls, bytes: Int
    let ringBytes: Double

    enum CodingKeys: String, CodingKey {
      case axis, kind, calls, bytes
      case ringBytes = "sent_bytes"
    }
  }

  private enum CodingKeys: String, CodingKey {
    case ranks, devices
    case fullest = "fullest_device"
    case exchanges = "exchanges_of_fullest"
  }

  init(_ estimate: LayoutEstimate) {
    ranks = estimate.layout.worldSize
    fullest = estimate.fullest
    devices = estimate.devices.enumerated().map { number, device in
      let memory = device.memory
      let layers = device.parts.map { part in
        part.layers.isEmpty ? "none" : "\(part.layers.lowerBound)-\(part.layers.upperBound - 1)"
      }
      return Device(
        device: number, layers: layers.joined(separator: ", "), parameters: device.program.parameterCount,
        persistent: memory.persistentBytes, saved: memory.savedBytes, inFlight: memory.slabs.max() ?? 0,
        shared: memory.sharedBytes, total: memory.totalBytes)
    }
    let communication = estimate.devices[estimate.fullest].communication
    exchanges = MeshAxis.allCases.flatMap { axis in
      CollectiveKind.allCases.compactMap { kind in
        communication[axis]?[kind].map {
          Exchange(
            axis: axis.rawValue, kind: kind.rawValue, calls: $0.calls, bytes: $0.payloadBytes,
            ringBytes: $0.ringBytes)
        }
      }
    }
  }

  var text: String {
    var table = TextTable([
      .text("device of the pipeline"), .text("layers"), .number("parameters"), .number("kept"),
      .number("in flight"), .number("saved"), .number("shared"), .number("a rank"),
    ])
    for device in devices {
      table.add([
        "\(device.device)", device.layers, device.parameters.grouped,
        ByteCount(device.persistent).description,
        "\(device.inFlight)", ByteCount(device.saved).description, ByteCount(device.shared).description,
        ByteCount(device.total).description,
      ])
    }
    var traffic = TextTable([
      .text("a step of a rank of device \(fullest)"), .text("collective"), .number("calls"),
      .number("buffers"),
      .number("sent"),
    ])
    for exchange in exchanges {
      traffic.add([
        exchange.axis, exchange.kind, exchange.calls.grouped, ByteCount(exchange.bytes).description,
        ByteCount(Int(exchange.ringBytes)).description,
      ])
    }
    return "Layout of \(ranks) ranks, as they are recorded:\n" + table.description + "\n"
      + traffic.description
  }
}
