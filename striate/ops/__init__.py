"""Functions on tensors and on plain integers: windows, paddings, convolutions, pools, normalization, boxes.

The truth about windows is `shapes` (no torch); `convolution`, `transposed` and `pooling` compute by it, `axes` is what
they share, `depthwise` knows what is slow, `dense` has no windows. `layouts` turns TensorFlow's tensors into ours.
`boxes` says what a box is; `grids` says boxes as a network's numbers, `suppression` and `anchors` choose among them.
Offers the functions of all these, and `ResponseNorm`, `Window`, `Field`, `Detections` and `AnchorReport`.
"""

from striate.ops.anchors import AnchorReport, anchor_report, anchors_by_kmeans, size_overlaps
from striate.ops.boxes import ciou, cxcywh_to_xyxy, giou, iou, ltrb_to_xyxy, xyxy_to_cxcywh, xyxy_to_ltrb
from striate.ops.convolution import conv1d, conv2d, conv3d, depthwise_conv2d, separable_conv2d
from striate.ops.dense import linear
from striate.ops.grids import cell_centres, decode_anchors, decode_distances, encode_anchors, encode_distances
from striate.ops.layouts import from_tensorflow, to_tensorflow
from striate.ops.normalization import ResponseNorm, local_response_normalization
from striate.ops.pooling import (
    average_pool1d,
    average_pool2d,
    average_pool3d,
    depth_average_pool,
    depth_max_pool,
    global_average_pool,
    global_max_pool,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from striate.ops.shapes import (
    Field,
    Window,
    field,
    output_size,
    padding_amounts,
    reach,
    same_padding,
    transposed_size,
    transposed_sizes,
)
from striate.ops.suppression import Detections, multiclass_nms, nms, soft_nms
from striate.ops.transposed import conv_transpose1d, conv_transpose2d, conv_transpose3d

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "depthwise_conv2d",
    "separable_conv2d",
    "linear",
    "from_tensorflow",
    "to_tensorflow",
    "ResponseNorm",
    "local_response_normalization",
    "average_pool1d",
    "average_pool2d",
    "average_pool3d",
    "depth_average_pool",
    "depth_max_pool",
    "global_average_pool",
    "global_max_pool",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "Field",
    "Window",
    "field",
    "output_size",
    "padding_amounts",
    "reach",
    "same_padding",
    "transposed_size",
    "transposed_sizes",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "iou",
    "giou",
    "ciou",
    "xyxy_to_cxcywh",
    "cxcywh_to_xyxy",
    "xyxy_to_ltrb",
    "ltrb_to_xyxy",
    "cell_centres",
    "decode_distances",
    "encode_distances",
    "decode_anchors",
    "encode_anchors",
    "Detections",
    "nms",
    "multiclass_nms",
    "soft_nms",
    "AnchorReport",
    "anchors_by_kmeans",
    "anchor_report",
    "size_overlaps",
]
