"""PyTorch, eager: the loop of its tutorials, with the data in memory."""

from importlib.util import find_spec

from problems import LEARNING_RATE, STRENGTH

VERSION = None
if find_spec("torch"):
    import torch
    from torch import nn

    VERSION = torch.__version__


def trainer(shape, dtype, activation):
    torch.set_num_threads(1)
    X, y = map(torch.from_numpy, shape.data(dtype))
    if shape.n_classes == 2:
        y = y.to(X.dtype)[:, None]
        criterion = nn.BCEWithLogitsLoss()
    else:
        criterion = nn.CrossEntropyLoss()

    def train(epochs):
        coefs, intercepts, orders = shape.start(dtype, activation)
        model = network(coefs, intercepts, nn.ReLU if activation == "relu" else nn.Tanh)
        weights = [p for p in model.parameters() if p.ndim == 2]
        biases = [p for p in model.parameters() if p.ndim == 1]
        optimizer = torch.optim.Adam(
            [{"params": weights, "weight_decay": STRENGTH}, {"params": biases}],
            lr=LEARNING_RATE,
            fused=True,
        )
        loss_curve = []
        for _ in range(epochs):
            total = torch.zeros((), dtype=X.dtype)
            for rows in torch.from_numpy(next(orders)).split(shape.batch_size):
                optimizer.zero_grad()
                loss = criterion(model(X[rows]), y[rows])
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(rows)
            loss_curve.append(total.item() / shape.n_samples)
        return (
            [w.detach().numpy().T for w in weights],
            [b.detach().numpy() for b in biases],
        )

    return train


def network(coefs, intercepts, activation):
    layers = []
    for W, b in zip(coefs, intercepts, strict=True):
        layer = nn.Linear(*W.shape)
        layer.weight = nn.Parameter(torch.from_numpy(W.T.copy()))
        layer.bias = nn.Parameter(torch.from_numpy(b))
        layers += [layer, activation()]
    return nn.Sequential(*layers[:-1])
