/// What every device of a pipeline does in one step, in order, and which stage each chunk is.
package struct PipelineOrders: Hashable, Sendable {
  package let schedule: PipelineSchedule
  package let devices, microbatches: Int
  /// One list a device.
  package let orders: [[PipelineAction]]

  /// Stages that a micro-batch passes.
  package var stageCount: Int { schedule.stages(devices: devices) }

  /// The stage that a device's chunk holds.
  package func stage(device: Int, chunk: Int) -> Int {
    if schedule.isBidirectional { return chunk == 0 ? device : devices - 1 - device }
    return chunk * devices + device
  }

  /// The device that works on a micro-batch in a stage.
  package func device(stage: Int, microbatch: Int) -> Int {
    if schedule.isBidirectional, microbatch >= microbatches / 2 { return devices - 1 - stage }
    return stage % devices
  }

  /// Ranges of each device's list that run as one: single actions, and pairs that are joined.
  func units(device: Int) -> [Range<Int>] {
    var units: [Range<Int>] = []
    units.reserveCapacity(orders[device].count)
    var start = 0
    for (index, action) in orders[device].enumerated() where !action.joinsNext {
      units.append(start..<index + 1)
      start = index + 1
    }
    return units
  }
}
