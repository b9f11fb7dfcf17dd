# Task 'total' (1/4, py/): the function run_of_tasks.<locals>.total and what it uses, to be read; debug.py runs the pickled function.


# --- File "/opt/rain/tests/formats/write.py", line 75 ---
        def total(numbers: list[int]) -> int:
            print("adding")
            return sum(numbers) // numbers[0]
