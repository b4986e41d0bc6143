import ApusCore

/// Collects the parameters of one unit before its buffer's size is known.
///
/// Declaring gives a tensor inside the unit at once; `finish` fixes the size.
public struct UnitDeclaration {
  fileprivate let flat: Int
  fileprivate let mesh: Mesh
  fileprivate private(set) var parameters: [Parameter] = []
  fileprivate private(set) var count: Int

  /// Elements to which parameters are aligned inside their unit: 64 bytes of float32.
  package static let alignment = 16

  fileprivate init(flat: Int, count: Int, mesh: Mesh) {
    self.flat = flat
    self.count = count
    self.mesh = mesh
  }

  /// Declares a parameter of `[rows, columns]` over all ranks; gives the part of it that a rank holds.
  public mutating func declare(
    _ name: String, _ rows: Int, _ columns: Int, _ initializer: Initializer, isMatrix: Bool = true,
    split: ParameterSplit = .whole(gradientArrivesWhole: true)
  ) -> Tensor {
    let shape = LocalShape(name, rows, columns, isMatrix: isMatrix, split, mesh)
    let tensor = Tensor(
      storage: flat, type: .float32, offset: count, rows: shape.rows, columns: shape.columns,
      placement: mesh.degree(of: .tensor) > 1 ? split.placement : .invariant)
    var stretches = shape.stretches
    for index in stretches.indices { stretches[index].offset += count }
    parameters.append(
      Parameter(
        name: name, tensor: tensor, initializer: initializer, isMatrix: isMatrix, parts: shape.parts,
        stretches: stretches))
    count += (tensor.count + Self.alignment - 1) / Self.alignment * Self.alignment
    return tensor
  }

  /// Declares a vector of `count` numbers.
  public mutating func vector(
    _ name: String, _ count: Int, _ initializer: Initializer,
    split: ParameterSplit = .whole(gradientArrivesWhole: true)
  ) -> Tensor {
    declare(name, 1, count, initializer, isMatrix: false, split: split)
  }
}

/// A rank's matrix of a divided parameter, and what published tensors have to do with it.
private struct LocalShape {
  var rows, columns: Int
  var parts: [ExchangePart] = []
  var stretches: [ParameterStretch] = []

  init(_ name: String, _ rows: Int, _ columns: Int, isMatrix: Bool, _ split: ParameterSplit, _ mesh: Mesh) {
    (self.rows, self.columns) = (rows, columns)
    let shape = isMatrix ? [rows, columns] : [columns]
    let tensorDegree = mesh.degree(of: .tensor)
    switch split {
    case .whole(let arrivesWhole):
      let block = ExchangeBlock(
        row: 0, column: 0, rows: rows, columns: columns, globalRow: 0, globalColumn: 0, axis: nil)
      parts = [ExchangePart(name: name, shape: shape, blocks: [block])]
      stretches = [
        ParameterStretch(
          offset: 0, count: rows * columns, copies: tensorDegree,
          summedOver: arrivesWhole || tensorDegree == 1 ? nil : .tensor)
      ]
    case .along(let dimension, let sections):
      let whole = dimension == .rows ? rows : columns
      require(
        sections.reduce(0) { $0 + $1.extent } == whole,
        "\(name): sections do not make up \(whole) \(dimension)")
      let local = sections.reduce(0) { $0 + $1.localExtent(on: mesh) }
      if dimension == .rows { self.rows = local } else { self.columns = local }
      if sections.allSatisfy({ $0.name == nil }) {
        parts = [ExchangePart(name: name, shape: shape, blocks: [])]
      }
      var (start, globalStart) = (0, 0)
      for section in sections {
        let extent = section.localExtent(on: mesh)
        require(
          section.name != nil || sections.count == 1 || section.extent.isMultiple(of: extent),
          "\(name): a section of \(section.extent) cannot be divided over \(mesh.degree(of: section.axis)) ranks"
        )
        var block = ExchangeBlock(
          row: 0, column: 0, rows: self.rows, columns: self.columns, globalRow: 0, globalColumn: 0,
          axis: section.axis, dimension: dimension)
        let origin = section.name == nil ? globalStart : 0
        if dimension == .rows {
          (block.row, block.rows, block.globalRow) = (start, extent, origin)
        } else {
          (block.column, block.columns, block.globalColumn) = (start, extent, origin)
        }
        if let name = section.name {
          parts.append(ExchangePart(name: name, shape: [section.extent, columns], blocks: [block]))
        } else if let last = parts[0].blocks.last, mesh.degree(of: last.axis ?? section.axis) == 1,
          mesh.degree(of: section.axis) == 1
        {
          // Not divided: neighbours are one rectangle.
          parts[0].blocks[parts[0].blocks.count - 1].rows =
            dimension == .rows ? last.rows + extent : last.rows
          parts[0].blocks[parts[0].blocks.count - 1].columns =
            dimension == .rows ? last.columns : last.columns + extent
        } else {
          parts[0].blocks.append(block)
        }
        start += extent
        globalStart += section.extent
      }
      addStretches(dimension, sections, mesh)
    }
  }

  private mutating func addStretches(
    _ dimension: TensorDimension, _ sections: [ParameterSplit.Section], _ mesh: Mesh
  ) {
    func isCopied(_ section: ParameterSplit.Section) -> Bool {
      section.axis == .keyValueHeads && mesh.keyValueCopies > 1
    }
    guard dimension == .rows, sections.contains(where: isCopied) else {
      require(!sections.contains(where: isCopied), "copies of key-value heads must be rows")
      stretches = [ParameterStretch(offset: 0, count: rows * columns, copies: 1, summedOver: nil)]
      return
    }
    var offset = 0
    for section in sections {
      let count = section.localExtent(on: mesh) * columns
      stretches.append(
        ParameterStretch(
          offset: offset, count: count, copies: isCopied(section) ? mesh.keyValueCopies : 1,
          summedOver: isCopied(section) ? .keyValueCopies : nil))
      offset += count
    }
  }
}

extension StepRecorder {
  /// Declares a unit: `body` declares its parameters and returns what the model keeps of them. With several
  /// replicas small units that follow each other become one, up to the policy's bucket; one that
  /// `standsAlone` does not.
  public mutating func unit<Part>(
    _ name: String, training: Bool, into units: inout [ParameterUnit], standsAlone: Bool = false,
    _ body: (inout UnitDeclaration) -> Part
  ) -> Part {
    let joins = training && !standsAlone && joinsNextUnit
    joinsNextUnit = false
    let flat = joins ? units[units.count - 1].flat : tensor(name, .parameter, Signature(1, 1))
    var declaration = UnitDeclaration(flat: flat.storage, count: joins ? flat.columns : 0, mesh: mesh)
    let part = body(&declaration)
    if joins {
      units[units.count - 1].parameters += declaration.parameters
      units[units.count - 1].name += ", \(name)"
      size(&units[units.count - 1], declaration.count)
    } else {
      var unit = ParameterUnit(name: name, parameters: declaration.parameters, flat: flat, weights: flat)
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
  private mutating func addBuffers(to unit: inout ParameterUnit) {
    let placeholder = Signature(1, 1)
    if mesh.degree(of: .shard) > 1 {
      unit.shard = ShardSlice(axis: .shard, count: 1)
      if mesh.layout.zeroStage == 3 {
        unit.weights = tensor("\(unit.name) shard", .parameter, placeholder)
        storages[unit.flat.storage].role = .communication
      }
    }
    unit.gradients = tensor("\(unit.name) gradients", .gradient, placeholder)
    unit.firstMoment = tensor("\(unit.name) first moment", .optimizerState, placeholder)
    unit.secondMoment = tensor("\(unit.name) second moment", .optimizerState, placeholder)
  }

  /// Fixes the size of a unit and of all its buffers: a multiple of 256 bytes a shard.
  private mutating func size(_ unit: inout ParameterUnit, _ count: Int) {
    let degree = unit.shard == nil ? 1 : mesh.degree(of: .shard)
    let step = degree == 1 ? 1 : degree * MemoryPlan.alignment / ElementType.float32.byteCount
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
    unit.gradients = sized(unit.gradients, "gradients", from: 2)
    unit.firstMoment = sized(unit.firstMoment, "first moment", from: 1)
    unit.secondMoment = sized(unit.secondMoment, "second moment", from: 1)
  }
}
