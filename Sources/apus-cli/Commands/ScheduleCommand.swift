import ApusCore
import ApusForesight
import ApusReport

/// `apus schedule`: plays a pipeline schedule and draws it.
enum ScheduleCommand: Command {
  static let name = "schedule"
  static let summary = "Play a pipeline schedule: its bubble, its memory, a Gantt chart."
  static let arguments = ArgumentsSpecification(
    positionals: [
      Positional(
        "SCHEDULE", .choice(PipelineSchedule.names + ["all"]),
        help: "One of \(PipelineSchedule.names.joined(separator: ", ")); all compares them.")
    ],
    options: [
      .value("stages", "P", .integer(1...4096), default: "4", help: "Devices of the pipeline."),
      .value("micro-batches", "M", .integer(1...65_536), default: "8", help: "Micro-batches of a step."),
      .value(
        "chunks", "V", .integer(1...128), default: "2", help: "Chunks of layers a device, when interleaved."),
      .value(
        "group", "N", .integer(1...65_536),
        help:
          "Micro-batches in a row on a chunk, when interleaved: P is depth first (the default), M breadth "
          + "first."),
      .value("forward", "TIME", .number, default: "1", help: "A device's forward pass of one micro-batch."),
      .value("backward", "TIME", .number, default: "2", help: "Its whole backward pass."),
      .value("weights", "TIME", .number, help: "The part of backward for weights; half when not given."),
      .value("transfer", "TIME", .number, default: "0", help: "From one stage to the next."),
      .value(
        "mailboxes", "N", .integer(0...65_536),
        help: "Messages under way between two devices before a sender waits; 0: it waits for the receiver."),
      .value("width", "COLUMNS", .integer(20...2000), default: "120", help: "Of the chart as text."),
      .value("svg", "FILE", help: "Write the chart as a picture."),
      .value("trace", "FILE", help: "Write a trace for Perfetto (ui.perfetto.dev)."),
    ])

  static func run(_ arguments: ParsedArguments) throws {
    let request = try Request(arguments)
    let name = arguments.required("SCHEDULE")
    if name == "all" {
      guard arguments.text("svg") == nil, arguments.text("trace") == nil else {
        throw UsageError("--svg and --trace draw one schedule; name it instead of all")
      }
      return try StandardOutput.write(request.comparison())
    }
    let played = try request.play(request.schedule(name))
    let timeline = Timeline(
      played.table, of: played.orders,
      title: "\(name), \(request.devices) devices, \(request.microbatches) micro-batches", unit: .abstract)
    try write(arguments, "svg", "schedule.svg") { GanttSVG(timeline).description }
    try write(arguments, "trace", "trace.json") { TimelineTrace(timeline).description }
    let chart = GanttText(timeline, width: arguments.integer("width") ?? 120).description
    try StandardOutput.write(chart + "\n" + request.text(of: played))
  }

  private static func write(
    _ arguments: ParsedArguments, _ option: String, _ name: String, _ text: () -> String
  ) throws {
    guard let path = arguments.text(option) else { return }
    try OutputPlace(path, .file(named: name)).write(Array(text().utf8))
  }

  /// The numbers that the words ask for.
  private struct Request {
    let devices, microbatches, chunks: Int
    let group, mailboxes: Int?
    let forward, backward, weights, transfer: Double

    struct Played {
      let orders: PipelineOrders
      let table: Timetable
    }

    init(_ arguments: ParsedArguments) throws {
      devices = arguments.integer("stages") ?? 4
      microbatches = arguments.integer("micro-batches") ?? 8
      chunks = arguments.integer("chunks") ?? 2
      group = arguments.integer("group")
      mailboxes = arguments.integer("mailboxes")
      forward = try Self.time(arguments, "forward")
      backward = try Self.time(arguments, "backward")
      weights = arguments.number("weights") == nil ? backward / 2 : try Self.time(arguments, "weights")
      transfer = try Self.time(arguments, "transfer")
      guard weights <= backward else {
        throw UsageError("--weights \(weights) is more than the whole backward pass, \(backward)")
      }
    }

    private static func time(_ arguments: ParsedArguments, _ name: String) throws -> Double {
      let time = arguments.number(name) ?? 0
      guard time >= 0, time.isFinite, name != "forward" || time > 0 else {
        throw UsageError("--\(name) \(time) is no time; use a number \(name == "forward" ? "above" : "of") 0")
      }
      return time
    }

    func schedule(_ name: String) throws -> PipelineSchedule {
      guard let schedule = PipelineSchedule(name: name, chunks: chunks, group: group) else {
        throw UsageError("unknown schedule \(name)")
      }
      return schedule
    }

    func play(_ schedule: PipelineSchedule) throws -> Played {
      let orders: PipelineOrders
      do { orders = try schedule.orders(devices: devices, microbatches: microbatches) } catch {
        throw UsageError("\(error)")
      }
      let times = PipelineTimes(
        orders, forward: forward, backwardInput: backward - weights, backwardWeight: weights,
        transfer: transfer)
      return Played(orders: orders, table: try orders.play(times, mailboxes: mailboxes))
    }

    private func bubble(_ schedule: PipelineSchedule) -> Double {
      PipelineBubble(schedule, devices: devices, microbatches: microbatches)
        .ratio(forward: forward, input: backward - weights, weight: weights)
    }

    func text(of played: Played) -> String {
      var table = TextTable([
        .text("device"), .number("busy"), .number("idle"), .number("idle inside"), .number("ends"),
        .number("micro-batches held"),
      ])
      for device in 0..<devices {
        table.add([
          "\(device)", number(played.table.busy(device: device)), number(played.table.idle(device: device)),
          number(played.table.innerIdle(device: device)), number(played.table.entries[device].last?.end ?? 0),
          "\(played.orders.peakLive(device: device))",
        ])
      }
      return table.description + """

        step \(number(played.table.makespan)), bubble \(played.table.bubbleRatio.formatted(decimals: 4)) of the \
        time that computing takes; formula without transfers \
        \(bubble(played.orders.schedule).formatted(decimals: 4))

        """
    }

    func comparison() -> String {
      var table = TextTable([
        .text("schedule"), .number("step"), .number("bubble"), .number("formula"),
        .number("micro-batches held"), .text("where"),
      ])
      for name in PipelineSchedule.names {
        do {
          let played = try play(schedule(name))
          let held = (0..<devices).map(played.orders.peakLive(device:))
          let most = held.max() ?? 0
          table.add([
            name, number(played.table.makespan), played.table.bubbleRatio.formatted(decimals: 4),
            bubble(played.orders.schedule).formatted(decimals: 4), "\(most)",
            held.allSatisfy { $0 == most } ? "every device" : "device \(held.firstIndex(of: most) ?? 0)",
          ])
        } catch {
          table.add([name, "", "", "", "", "\(error)"])
        }
      }
      return table.description
        + "A micro-batch counts once for each chunk of layers that holds its activations; with V chunks a device, a "
        + "chunk is a V-th of its layers.\nThe formula of zb-h2 counts no wait for the last device at a step's end.\n"
    }

    private func number(_ value: Double) -> String {
      value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : value.formatted(decimals: 3)
    }
  }
}
