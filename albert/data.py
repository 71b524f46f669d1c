"""The data sets of this article by name, and the choice of their tasks."""

GRAMMAR = "grammar"
KNOWN = ("reviews", "hotel", "shopping", "waimai")  # collections that have labels
MEASURED = 1000  # examples to validate on, and as many to test on; fewer if there are few to train on


def load_data(args):
    """Return the `albert.tokens.Data` of --dataset."""
    from albert.grammar import load_grammar
    from albert.reviews import load_reviews

    measured = min(MEASURED, max(32, args.examples // 2))
    if args.dataset == GRAMMAR:
        return load_grammar(args.size, args.examples, measured, args.seed)
    return load_reviews(args.dataset, args.size, args.examples, measured, args.seed, args.data_dir)


def chosen_tasks(args, tasks):
    """Return the tasks of --tasks, or all.

    Raises:
        UserError: if there is none of that name, or if one has fewer labelled examples than a batch.
    """
    from common.errors import UserError

    for name in args.tasks or ():
        if name not in tasks:
            raise UserError(f"{args.dataset} has no task {name}: --tasks takes {', '.join(tasks)}")
    tasks = {name: task for name, task in tasks.items() if name in (args.tasks or tasks)}
    for name, task in tasks.items():
        if len(task.train) < args.batch_size:
            n = len(task.train)
            raise UserError(f"task {name} has only {n} labelled examples: lower --batch-size from {args.batch_size}")
    return tasks
