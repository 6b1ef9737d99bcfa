import torch

from sketchkit import Sketch, SketchSet, adapt, rasterize
from sketchkit import adapters as sk

torch.manual_seed(0)
drawings = SketchSet.from_sketches(Sketch.from_strokes([100 * torch.rand(6, 2).numpy()]) for _ in range(96))
rasters = torch.from_numpy(rasterize(drawings, 32))
photos = 1 - rasters[:, None] / 255 * torch.tensor([0.3, 0.6, 0.9])[:, None, None]
layers = [torch.nn.Conv2d(3, 32, 5, 4), torch.nn.BatchNorm2d(32), torch.nn.ReLU(), torch.nn.Conv2d(32, 64, 3)]
network = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(64, 10))
teacher, student = (adapt(network, canvases=(16, 32), photo_size=32, embedding_dim=dim) for dim in (None, 32))


def fit(name, loss_of, groups):
    optimizer = torch.optim.AdamW(groups, lr=3e-3)
    for step in range(30):
        loss = loss_of(torch.randperm(64)[:32].numpy())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(name, step, loss.item())  # noqa: T201 -- a script prints


def loss_at(size, rows, model, head=None):
    pair = model.embed_sketches(drawings[rows], size), model.embed_photos(photos[rows])
    task = sk.hard_triplet_loss(*pair, margin=0.3)
    taught = head.over_batch(*pair, rasters=rasters[rows], images=photos[rows], beta=0.05) if head else 0 * task
    return sk.distilled_loss(task, taught, balance="gradient", embeddings=pair).loss


fit("teacher", lambda rows: loss_at(32, rows, teacher), sk.parameter_groups(teacher.train(), lr=3e-3))
groups, head, policy = sk.parameter_groups(student.train(), lr=3e-3), sk.KDHead(teacher), student.canvas_selector
fit("student", lambda rows: sk.scale_averaged(lambda size: loss_at(size, rows, student, head), (16, 32)), groups)
photo = student.eval().embed_photos(photos).detach()
apart = torch.stack([sk.pairwise_distances(student.embed_sketches(drawings, size), photo) for size in (16, 32)], 1)
ranks, (path, steps) = (apart <= apart.diagonal(0, 0, 2).T[:, :, None]).sum(2), policy.encode(drawings)
table = sk.canvas_reward(ranks, torch.zeros(1), torch.tensor([1.0, 4.0]), lambda_F=0.2).detach()
fit("selector", lambda rows: sk.policy_gradient_loss(policy(path[rows], steps[rows]), table[rows]), policy.parameters())
print((student.embed_sketches(drawings[64:]) @ photo[64:].T).argmax(1).eq(torch.arange(32)).sum())  # noqa: T201
