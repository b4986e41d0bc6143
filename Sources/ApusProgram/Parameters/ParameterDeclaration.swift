import ApusCore

/// Collects the parameters of one unit before its buffer's size is known.
///
/// Declaring gives a tensor inside the unit at once; the size of its buffers follows.
public struct UnitDeclaration {
  fileprivate let flat: Int
  fileprivate let mesh: Mesh
  fileprivate let type: ElementType
  fileprivate private(set) var parameters: [Parameter] = []
  fileprivate private(set) var count: Int

  /// Elements to which parameters are aligned inside their unit: 64 bytes of float32, 32 of a 16-bit type.
  package static let alignment = 16

  fileprivate init(flat: Int, count: Int, mesh: Mesh, type: ElementType) {
    self.flat = flat
    self.count = count
    self.mesh = mesh
    self.type = type
  }

  /// Declares a parameter of `[rows, columns]` over all ranks; gives the part of it that a rank holds. One that
  /// `isTied` is read before the layers and behind them: in a pipeline the first and the last device hold it.
  public mutating func declare(
    _ name: String, _ rows: Int, _ columns: Int, _ initializer: Initializer, isMatrix: Bool = true,
    split: ParameterSplit = .whole(gradientArrivesWhole: true), isTied: Bool = false
  ) -> Tensor {
    let shape = LocalShape(name, rows, columns, isMatrix: isMatrix, split, mesh)
    let tensor = Tensor(
      storage: flat, type: type, offset: count, rows: shape.rows, columns: shape.columns,
      placement: mesh.degree(of: .tensor) > 1 ? split.placement : .invariant)
    var stretches = shape.stretches
    for index in stretches.indices {
      stretches[index].offset += count
      stretches[index].isTied = isTied && mesh.layout.pipeline > 1
      if stretches[index].isTied { stretches[index].copies *= mesh.degree(of: .tiedTable) }
    }
    parameters.append(
      Parameter(
        name: name, tensor: tensor, initializer: initializer, isMatrix: isMatrix, parts: shape.parts,
        stretches: stretches))
    count += Self.aligned(tensor.count)
    return tensor
  }

  private static func aligned(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }

  /// Where the next parameter after these starts.
  fileprivate static func end(of parameters: [Parameter]) -> Int {
    parameters.last.map { $0.tensor.offset + aligned($0.tensor.count) } ?? 0
  }

  /// Declares a vector of `count` numbers.
  public mutating func vector(
    _ name: String, _ count: Int, _ initializer: Initializer,
    split: ParameterSplit = .whole(gradientArrivesWhole: true)
  ) -> Tensor {
    declare(name, 1, count, initializer, isMatrix: false, split: split)
  }
}

extension StepRecorder {
  /// Declares a unit: `body` declares its parameters and returns what the model keeps of them. With several
  /// replicas small units that follow each other become one, up to the policy's bucket; one that
  /// `standsAlone` does not. Experts that are divided over ranks are `isExpert` units, and stand alone.
  public mutating func unit<Part>(
    _ name: String, training: Bool, into units: inout [ParameterUnit], standsAlone: Bool = false,
    isExpert: Bool = false, _ body: (inout UnitDeclaration) -> Part
  ) -> Part {
    let joins = training && !standsAlone && joinsNextUnit
    joinsNextUnit = false
    let flat =
      joins ? units[units.count - 1].flat : tensor(name, .parameter, Signature(1, 1, precision.compute))
    var declaration = UnitDeclaration(
      flat: flat.storage, count: joins ? UnitDeclaration.end(of: units[units.count - 1].parameters) : 0,
      mesh: mesh, type: precision.compute)
    let part = body(&declaration)
    if joins {
      units[units.count - 1].parameters += declaration.parameters
      units[units.count - 1].name += ", \(name)"
      size(&units[units.count - 1], declaration.count)
    } else {
      var unit = ParameterUnit(name: name, parameters: declaration.parameters, flat: flat, weights: flat)
      unit.isExpert = isExpert
      if training { addBuffers(to: &unit) }
      size(&unit, declaration.count)
      units.append(unit)
    }
    let bytes = units[units.count - 1].flat.byteCount
    joinsNextUnit = !standsAlone && mergesUnits && bytes < communication.bucketByteCount
    return part
  }

  private var mergesUnits: Bool {
    mesh.degree(of: mesh.gradientAxis) > 1 && mesh.layout.zeroStage < 3 && communication.gradients != .naive
  }

  /// Gives a unit gradients and moments, and from ZeRO-3 on a shard of its own for its weights.
  ///
  /// Their storages are opened here and get their sizes in `size`.
  private mutating func addBuffers(to unit: inout ParameterUnit) {
    func opened(_ suffix: String, _ role: Role, _ type: ElementType = .float32) -> Tensor {
      tensor("\(unit.name) \(suffix)", role, Signature(1, 1, type))
    }
    if mesh.degree(of: .shard) > 1, !unit.isExpert {
      unit.shard = ShardSlice(axis: .shard, count: 1)
      if mesh.layout.zeroStage == 3 {
        unit.weights = opened("shard", .parameter, precision.compute)
        storages[unit.flat.storage].role = .communication
      }
    }
    if precision.hasMasterWeights { unit.master = opened("master", .optimizerState) }
    unit.gradients = opened("gradients", .gradient, precision.gradients)
    unit.firstMoment = opened("first moment", .optimizerState)
    unit.secondMoment = opened("second moment", .optimizerState)
  }

  /// Fixes the size of a unit and of all its buffers: a multiple of 256 bytes a shard.
  private mutating func size(_ unit: inout ParameterUnit, _ count: Int) {
    let degree = unit.shard == nil ? 1 : mesh.degree(of: .shard)
    let step = degree == 1 ? 1 : degree * MemoryPlan.alignment / precision.compute.byteCount
    let padded = (count + step - 1) / step * step
    unit.shard?.count = padded / degree
    let stage = mesh.layout.zeroStage
    let isFlat = unit.weights.storage == unit.flat.storage
    unit.flat = resize(unit.flat.storage, name: unit.name, count: padded)
    unit.weights =
      isFlat ? unit.flat : resize(unit.weights.storage, name: "\(unit.name) shard", count: padded / degree)
    func sized(_ buffer: Tensor?, _ suffix: String, from first: Int) -> Tensor? {
      buffer.map {
        resize(
          $0.storage, name: "\(unit.name) \(suffix)", count: stage >= first ? padded / degree : padded)
      }
    }
    unit.master = sized(unit.master, "master", from: 1)
    unit.gradients = sized(unit.gradients, "gradients", from: 2)
    unit.firstMoment = sized(unit.firstMoment, "first moment", from: 1)
    unit.secondMoment = sized(unit.secondMoment, "second moment", from: 1)
  }
}
