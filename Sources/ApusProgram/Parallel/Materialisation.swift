import ApusCore

/// Inserts `Materialise` into a recorded forward segment, before it is differentiated.
///
/// With ZeRO 0 and 1 gradients lie in buffers that persist, so a unit is materialised exactly once, where it is
/// first read: reverse order gets there after the last contribution. From ZeRO-2 on gradients and from ZeRO-3 on
/// gathered weights are transient, so each stretch of forward that reads a unit has a reading of its own: a
/// tied table is not held from the first layer to the head. A unit whose last rows are shared is materialised before
/// its last reader, the head.
package enum Materialisation {
  /// Gives the segment with materialised units, and what it reads of them.
  ///
  /// - Parameter training: without it nothing but ZeRO-3's gathers is inserted, and no gradients exist.
  package static func apply(
    _ forward: [Instruction], units: [ParameterUnit], training: Bool, in recorder: inout StepRecorder
  ) -> (forward: [Instruction], readings: [UnitReading]) {
    let gathers = units.contains { $0.weights.storage != $0.flat.storage }
    guard gathers || training && needsSums(units, recorder.mesh) else { return (forward, []) }
    let isTransient = recorder.mesh.degree(of: .shard) > 1 && recorder.mesh.layout.zeroStage >= 2
    let indexOf = Dictionary(uniqueKeysWithValues: units.enumerated().map { ($1.flat.storage, $0) })
    var readings: [UnitReading] = []
    /// The reading in use, by unit; a transient one ends when another unit is read.
    var current: [Int: Int] = [:]
    var result: [Instruction] = []
    let lastReaders = Dictionary(
      forward.enumerated().flatMap { place, instruction in
        instruction.inputs.compactMap { indexOf[$0.storage] }.map { ($0, place) }
      }, uniquingKeysWith: { max($0, $1) })
    for (place, original) in forward.enumerated() {
      var instruction = original
      for (position, input) in instruction.inputs.enumerated() {
        guard let index = indexOf[input.storage] else { continue }
        if current[index] == nil {
          let isTransient = isTransient && !units[index].isExpert
          if isTransient { current = current.filter { units[$0.key].isExpert } }
          current[index] = readings.count
          readings.append(
            reading(index, units[index], isTransient: isTransient && training, &recorder, readings))
          readings[readings.count - 1].sharesRows =
            training && units[index].parameters.count == 1
            && sharesRows(original, readAgain: lastReaders[index] != place, recorder.mesh)
          if !readings[readings.count - 1].sharesRows {
            result.append(materialise(units[index], readings[readings.count - 1], instruction.label))
          }
        } else if let reading = current[index], readings[reading].sharesRows, lastReaders[index] == place {
          result.append(materialise(units[index], readings[reading], instruction.label))
        }
        instruction.inputs[position].storage = readings[current[index]!].flat.storage
      }
      result.append(instruction)
    }
    for index in readings.indices {
      readings[index].isFirstInForward = !readings[..<index].contains { $0.unit == readings[index].unit }
      readings[index].isLastInForward = !readings[(index + 1)...].contains { $0.unit == readings[index].unit }
    }
    return (result, readings)
  }

  private static func needsSums(_ units: [ParameterUnit], _ mesh: Mesh) -> Bool {
    mesh.degree(of: mesh.gradientAxis) > 1
      || units.contains { $0.parameters.contains { $0.stretches.contains { $0.summedOver != nil } } }
  }

  private static func reading(
    _ index: Int, _ unit: ParameterUnit, isTransient: Bool, _ recorder: inout StepRecorder,
    _ earlier: [UnitReading]
  ) -> UnitReading {
    var reading = UnitReading(unit: index, of: unit)
    let number = earlier.count { $0.unit == index }
    if unit.weights.storage != unit.flat.storage || (isTransient && number > 0) {
      // ZeRO-3's gathered unit, or with ZeRO-2 another name for the one that persists.
      let name = "\(unit.name) gathered\(number > 0 ? " again" : "")"
      reading.flat = recorder.tensor(name, .communication, Signature(like: unit.flat))
    }
    if isTransient {
      reading.gradientsPersist = false
      reading.gradients = recorder.tensor(
        "\(unit.name) transient gradients", .communication,
        Signature(1, unit.count, unit.gradients?.type ?? .float32))
    }
    return reading
  }

  private static func materialise(
    _ unit: ParameterUnit, _ reading: UnitReading, _ label: String
  ) -> Instruction {
    Instruction(
      op: Materialise().op, inputs: [unit.weights], outputs: [Destination(reading.flat)], label: label)
  }

  /// Replaces materialised units by what is left to run: ZeRO-3's gathers, and other names for units that are
  /// there anyway by the units themselves.
  package static func lower(
    _ instructions: [Instruction], units: [ParameterUnit], readings: [UnitReading], mesh: Mesh
  ) -> [Instruction] {
    var names: [Int: Int] = [:]
    for reading in readings where units[reading.unit].weights.storage == units[reading.unit].flat.storage {
      names[reading.flat.storage] = units[reading.unit].flat.storage
    }
    let gather = Move(
      from: .sharded(.rows), to: .invariant, axis: .shard, degree: mesh.degree(of: .shard))
    return instructions.compactMap { instruction in
      var lowered = instruction
      if case .materialise = instruction.op {
        guard instruction.inputs[0].count < instruction.outputs[0].tensor.count else { return nil }
        lowered.op = gather.op
      }
      for index in lowered.inputs.indices {
        if let name = names[lowered.inputs[index].storage] { lowered.inputs[index].storage = name }
      }
      return lowered
    }
  }
}
